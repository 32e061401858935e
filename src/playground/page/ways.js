// The second path: each way of deciding that the demo's policy knows. A step is done when the audit says so; the
// pressing is left to the person.

/** `tools` are the guide's: what happened since it began, and where to lead. */
export function ways({ entries, settled, waits, toAsk, toCard, toReview }) {
  const approved = (counts) => entries("request.approved").some((entry) => counts(entry.detail ?? {}));
  /** Ask first; once its card is there, lead to the button of the person who has to press it. */
  const play = (preset, scope, person, words) => () => (waits(scope) ? toCard(person, words, scope) : toAsk(preset));
  return [
    {
      id: "less", short: "Grant less", title: "Bob approves, with changes",
      done: () => approved((detail) => detail.removed?.length > 0),
      hint: () => (waits("payments:refund")
        ? "Be Bob and press “Approve with changes…”: take invoices:read out, shorten the time, say why. Nothing can be added. The client gets what is left."
        : "Alice’s desk app asks for three scopes and two hours, which is more than it needs."),
      lead: play("desk-less", "payments:refund", "U0BOB", "approve with changes"),
    },
    {
      id: "together", short: "Two groups", title: "The data owner and a lead must both agree",
      done: () => approved((detail) => (detail.scopes ?? []).includes("customers:export")),
      hint: () => (waits("customers:export")
        ? "Carol is the data owner, Bob a lead. Both must approve, in any order; the card says who is missing. One person never counts for both."
        : "Exporting customers has two requirements: one person of each group. Ask, and look at the card."),
      lead: () => (waits("customers:export") ? toCard(settled("customers:export", "U0CAROL") ? "U0BOB" : "U0CAROL", "approve", "customers:export") : toAsk("alice-export")),
    },
    {
      id: "number", short: "A number", title: "Bob types the number that the client shows",
      done: () => approved((detail) => detail.proof === "number"),
      hint: () => (waits("payouts:change")
        ? "Be Bob and press “Approve…”: type the number to match, which stands on the call at the left (Alice would tell him). One wrong number, and Bob cannot approve this any more."
        : "For payout accounts the approver types the number that the client shows Alice: whoever slips a request in cannot tell it."),
      lead: play("alice-payout", "payouts:change", "U0BOB", "approve"),
    },
    {
      id: "sign-in", short: "Sign in again", title: "Bob signs in again before it counts",
      done: () => approved((detail) => Boolean(detail.proof?.step_up)),
      hint: () => (waits("keys:rotate")
        ? "Be Bob and press Approve, then “Sign in and approve”: a demonstration provider asks who you are, and the page afterwards shows once more what is granted. Sign in as Carol first, to feel the refusal."
        : "Signing keys need a fresh sign-in at an OpenID provider: the only way that survives a stolen Slack account."),
      lead: play("alice-keys", "keys:rotate", "U0BOB", "approve"),
    },
    {
      id: "glass", short: "Break glass", title: "Carol breaks the glass, and Bob reviews it",
      done: () => entries("review.answered").length > 0,
      hint: () => (entries("glass.broken").length > 0
        ? "Carol has it at once, and everybody was told. Be Bob and say on the card in #approvals whether that was justified; “not justified” revokes what is left."
        : "Carol is on call, payments are down: she gets access at once, for half an hour, and somebody else must review it within a day."),
      lead: () => (entries("glass.broken").length > 0 ? toReview("U0BOB") : toAsk("carol-glass")),
    },
  ];
}
