// Shows what one person sees, as JSON, and follows the changes.
const who = document.getElementById("who");
const shown = document.getElementById("state");

async function refresh() {
  const answer = await fetch(`/page/state?as=${encodeURIComponent(who.value || "U0BOB")}`);
  const state = await answer.json();
  const people = (state.people ?? []).filter((person) => person.kind !== "bot");
  if (who.options.length !== people.length) {
    who.replaceChildren(...people.map((person) => new Option(person.name, person.id, false, person.id === state.you.id)));
  }
  shown.textContent = JSON.stringify(state, null, 2);
}

who.addEventListener("change", refresh);
new EventSource("/page/stream").addEventListener("message", refresh);
refresh();
