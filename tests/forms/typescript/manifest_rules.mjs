// What Slack allows in an app's manifest, version 2, as far as it concerns an app like ours (docs.slack.dev, "App manifest
// reference"): which properties there are, how long they may be, and what goes together. Not Slack's schema, which no
// registry has: rules of our own.

const text = (most, least = 1, pattern = /^/) => ({ kind: 'text', least, most, pattern });
const flag = { kind: 'flag' };
const address = text(3000, 1, /^https:\/\/[^\s]+$/);
const list = (of, most) => ({ kind: 'list', of, most });
const object = (members, required = []) => ({ kind: 'object', members, required });
const word = text(255, 1, /^[a-z][a-z0-9_.:-]*$/);

const MANIFEST = object({
  _metadata: object({ major_version: { kind: 'number' }, minor_version: { kind: 'number' } }),
  display_information: object({
    name: text(35),
    description: text(140),
    long_description: text(4000, 174),
    background_color: text(7, 4, /^#([0-9a-fA-F]{3}){1,2}$/),
  }, ['name']),
  features: object({
    app_home: object({ home_tab_enabled: flag, messages_tab_enabled: flag, messages_tab_read_only_enabled: flag }),
    bot_user: object({ display_name: text(80, 1, /^[a-z0-9._-]+$/), always_online: flag }, ['display_name']),
    slash_commands: list(object({
      command: text(32, 2, /^\/[^\s/]+$/), description: text(2000), usage_hint: text(1000), should_escape: flag, url: address,
    }, ['command', 'description']), 50),
    shortcuts: list(object({
      name: text(24), type: text(7, 6, /^(message|global)$/), callback_id: text(255), description: text(150),
    }, ['name', 'type', 'callback_id', 'description']), 10),
  }),
  oauth_config: object({
    redirect_urls: list(address, 1000),
    scopes: object({ bot: list(word, 255), bot_optional: list(word, 255) }),
    token_management_enabled: flag,
  }),
  settings: object({
    allowed_ip_address_ranges: list(text(43, 7, /^[0-9a-fA-F.:]+(\/\d{1,3})?$/), 10),
    event_subscriptions: object({ request_url: address, bot_events: list(word, 100) }),
    interactivity: object({ is_enabled: flag, request_url: address, message_menu_options_url: address }, ['is_enabled']),
    org_deploy_enabled: flag,
    socket_mode_enabled: flag,
    token_rotation_enabled: flag,
    is_hosted: flag,
  }),
}, ['display_information']);

function* broken(rule, value, at) {
  const is = { object: v => v !== null && typeof v === 'object' && !Array.isArray(v), list: Array.isArray,
    text: v => typeof v === 'string', flag: v => typeof v === 'boolean', number: Number.isInteger }[rule.kind];
  if (!is(value)) {
    yield `${at} is not a ${rule.kind}`;
  } else if (rule.kind === 'object') {
    for (const name of rule.required) if (!(name in value)) yield `${at} has no ${name}`;
    for (const [name, member] of Object.entries(value)) {
      const inner = Object.hasOwn(rule.members, name) ? rule.members[name] : undefined;
      if (inner) yield* broken(inner, member, `${at}.${name}`);
      else yield `${at}.${name} does not exist`;
    }
  } else if (rule.kind === 'list') {
    if (value.length > rule.most) yield `${at} has ${value.length} entries`;
    if (new Set(value.map(one => JSON.stringify(one))).size !== value.length) yield `${at} names something twice`;
    for (const [n, one] of value.entries()) yield* broken(rule.of, one, `${at}[${n}]`);
  } else if (rule.kind === 'text') {
    const length = [...value].length;
    if (length < rule.least || length > rule.most) yield `${at} has ${length} characters`;
    else if (!rule.pattern.test(value)) yield `${at} is malformed: ${value}`;
  }
}

/** What is wrong with a manifest. */
export function problems(manifest) {
  const found = [...broken(MANIFEST, manifest, 'manifest')];
  if (found.length > 0) return found;
  const { features = {}, settings = {}, oauth_config = {}, _metadata = {} } = manifest;
  const wrong = (is, what) => { if (is) found.push(what); };
  wrong(_metadata.major_version !== 2, 'the manifest is not of version 2');
  const socket = settings.socket_mode_enabled === true;
  const { interactivity = {}, event_subscriptions } = settings;
  wrong(interactivity.is_enabled && !socket && !interactivity.request_url, 'clicks have no address');
  wrong(event_subscriptions && !socket && !event_subscriptions.request_url, 'events have no address');
  wrong(event_subscriptions && !event_subscriptions.bot_events?.length, 'events have an address and no names');
  const scopes = oauth_config.scopes?.bot ?? [];
  wrong(scopes.length > 0 && !features.bot_user, 'there are scopes of a bot and no bot');
  wrong((oauth_config.scopes?.bot_optional ?? []).some(one => scopes.includes(one)), 'a scope is both asked for and optional');
  for (const { command, url } of features.slash_commands ?? []) wrong(!socket && !url, `${command} has no address`);
  wrong(features.slash_commands?.length > 0 && !scopes.includes('commands'), 'a command needs the scope commands');
  return found;
}
