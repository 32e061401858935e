// What a person does in the Slack stand-in, for scenarios: see a card, click it, fill its form.
//
// It speaks the stand-in's page API and waits on its event stream, never on a clock.

import assert from 'node:assert/strict';

/** How long something on the page may take before the scenario fails. */
const PATIENCE_MS = 20_000;

/** One person looking at the stand-in. */
export class Person {
  /** @param {string} playground its address. @param {string} id the Slack user, like `U0BOB`. */
  constructor(playground, id) {
    this.playground = playground.replace(/\/$/, '');
    this.id = id;
  }

  /** What this person sees now: `{ messages: { channel: [message] }, view, … }`. */
  async looks() {
    return this.#json('GET', `/page/state?as=${encodeURIComponent(this.id)}`);
  }

  /**
   * Waits until `look(state)` returns something truthy, and returns that. Looks again at each change that the stand-in
   * announces. The stream is opened before the first look, so no change falls between.
   */
  async waitsFor(what, look) {
    const patience = AbortSignal.timeout(PATIENCE_MS);
    const done = new AbortController();
    try {
      const changes = await this.#changes(AbortSignal.any([patience, done.signal]));
      for (;;) {
        const found = look(await this.looks());
        if (found) return found;
        await changes.next();
      }
    } catch (error) {
      if (!patience.aborted) throw error;
      assert.fail(`${this.id} waited ${PATIENCE_MS} ms for ${what}; on the page:\n${seen(await this.looks())}`);
    } finally {
      done.abort();
    }
  }

  /** The card on which `client` waits for a decision: `{ channel, message, approve, deny }`. */
  async findsCard(client) {
    return this.waitsFor(`a card with buttons about ${client}`, (state) => openCards(state, client)[0]);
  }

  /** Waits until no card about `client` can be decided any more. */
  async seesSettled(client) {
    await this.waitsFor(`the card about ${client} to be settled`, (state) => (
      openCards(state, client).length === 0 && cards(state, client).length > 0));
  }

  /** Presses a button of a card; the confirm dialog, where there is one, is taken as read. */
  async clicks(card, button) {
    const answer = await this.#json('POST', '/page/click', {
      as: this.id,
      channel: card.channel,
      ts: card.message.ts,
      block_id: button.block_id,
      action_id: button.action_id,
      value: button.value,
    });
    assert.equal(answer.delivered, true, `the click was not delivered: ${JSON.stringify(answer)}`);
    assert.equal(answer.status, 200, 'the service acknowledges the click');
  }

  /** Approves what the card shows. */
  async approves(card) {
    await this.clicks(card, card.approve);
  }

  /** Refuses through the form behind Deny…, saying why. */
  async denies(card, why) {
    await this.clicks(card, card.deny);
    const form = await this.waitsFor('the form behind Deny…', ({ view }) => view?.view?.callback_id === 'deny' && view);
    const answer = await this.#json('POST', '/page/submit', {
      as: this.id, view_id: form.id, values: { reason: { reason: why } },
    });
    assert.equal(answer.status, 200, 'the service takes the form');
    assert.deepEqual(answer.errors ?? {}, {}, 'the form has no errors');
  }

  /**
   * Every message with an Approve button that was ever posted about `client`, edited or not since: from the stand-in's
   * record of Web API calls. Two of them are two interruptions for a person.
   */
  async cardsEverPosted(client) {
    const calls = await this.#json('GET', '/log');
    return calls
      .filter(({ method, answered }) => method === 'chat.postMessage' && answered === 'ok')
      .map(({ args }) => ({ ...args, blocks: typeof args.blocks === 'string' ? JSON.parse(args.blocks) : args.blocks }))
      .filter((message) => mentions(message, client) && buttons(message).some(isApprove));
  }

  /** Server-sent events of the page; each `next()` returns at a change. */
  async #changes(signal) {
    const response = await fetch(`${this.playground}/page/stream`, { signal });
    assert.equal(response.status, 200, '/page/stream answers');
    const chunks = response.body.pipeThrough(new TextDecoderStream())[Symbol.asyncIterator]();
    let text = '';
    const next = async () => {
      for (;;) {
        const end = text.lastIndexOf('\n\n');
        if (end >= 0) {
          const changed = /^data:/m.test(text.slice(0, end));
          text = text.slice(end + 2);
          if (changed) return;
        }
        const { value, done } = await chunks.next();
        assert.ok(!done, 'the stream of changes stays open');
        text += value.replaceAll('\r\n', '\n');
      }
    };
    return { next };
  }

  async #json(method, path, body) {
    const response = await fetch(`${this.playground}${path}`, {
      method,
      headers: body && { 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    const text = await response.text();
    assert.ok(response.ok, `${method} ${path} answers ${response.status}: ${text.slice(0, 300)}`);
    return JSON.parse(text);
  }
}

/** The top-level messages about `client`, as cards; `approve` and `deny` are absent once it is settled. */
export function cards(state, client) {
  return Object.entries(state.messages).flatMap(([channel, messages]) => messages
    .filter((message) => !message.ephemeral && (!message.thread_ts || message.thread_ts === message.ts))
    .filter((message) => mentions(message, client))
    .map((message) => ({
      channel,
      message,
      approve: buttons(message).find(isApprove),
      deny: buttons(message).find((button) => button.action_id.startsWith('deny')),
    })));
}

function openCards(state, client) {
  return cards(state, client).filter((card) => card.approve);
}

const isApprove = (button) => button.action_id.startsWith('approve');

/** The buttons of a message, each with the block it stands in. */
function buttons(message) {
  return (message.blocks ?? []).flatMap((block) => (block.elements ?? [block.accessory])
    .filter((element) => element?.type === 'button' && element.action_id)
    .map((element) => ({ ...element, block_id: block.block_id })));
}

/** Whether a message names this client, and not one whose name merely begins alike. */
function mentions(message, client) {
  const text = JSON.stringify([message.text, message.blocks]);
  const at = text.indexOf(client);
  return at >= 0 && !/[\w-]/.test(text[at + client.length] ?? '');
}

/** A page in short, for the message of a failed wait. */
function seen({ messages, view }) {
  const lines = Object.entries(messages).flatMap(([channel, list]) => list.map((message) => (
    `  ${channel} ${message.ts} [${buttons(message).map((button) => button.action_id)}] ${JSON.stringify(message.text).slice(0, 160)}`)));
  return [...lines, `  form: ${view?.view?.callback_id ?? 'none'}`].join('\n');
}
