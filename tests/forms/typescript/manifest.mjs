// The manifests of the Slack app: Slack's rules, Slack's types, and exactly what the code uses. Each check is a sentence.

import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { parse } from 'yaml';
import { compile, demand } from './compiler.mjs';
import { problems } from './manifest_rules.mjs';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const read = path => readFileSync(join(ROOT, path), 'utf8');
const NAMES = ['app.yaml', 'app-socket-mode.yaml'];
const TEXT = Object.fromEntries(NAMES.map(name => [name, read(`manifests/slack/${name}`)]));
const [HTTP, SOCKET] = NAMES.map(name => parse(TEXT[name]));

// The scopes of a bot that each method of the Web API needs (docs.slack.dev, on the page of each).
const CHANNELS = ['channels:read', 'groups:read'];
const METHODS = {
  'auth.test': [], 'auth.teams.list': [], 'blocks.validate': [], 'team.info': ['team:read'], 'bots.info': ['users:read'],
  'apps.connections.open': [], // an app-level token
  'chat.postMessage': ['chat:write'], 'chat.update': ['chat:write'], 'chat.delete': ['chat:write'],
  'chat.postEphemeral': ['chat:write'], 'chat.getPermalink': [],
  'conversations.info': CHANNELS, 'conversations.members': CHANNELS, 'conversations.list': CHANNELS,
  'conversations.open': ['im:write'],
  'conversations.history': ['channels:history', 'groups:history', 'im:history'],
  'conversations.replies': ['channels:history', 'groups:history', 'im:history'],
  'users.info': ['users:read'], 'users.list': ['users:read'], 'users.lookupByEmail': ['users:read.email'],
  'usergroups.list': ['usergroups:read'], 'usergroups.users.list': ['usergroups:read'],
  'views.open': [], 'views.push': [], 'views.update': [], 'views.publish': [],
};
// The same for events.
const EVENTS = {
  app_home_opened: [], app_uninstalled: [], tokens_revoked: [],
  user_change: ['users:read'], team_join: ['users:read'],
  subteam_members_changed: ['usergroups:read'], subteam_updated: ['usergroups:read'], subteam_created: ['usergroups:read'],
  channel_shared: CHANNELS, channel_unshared: CHANNELS, channel_id_changed: CHANNELS, channel_archive: CHANNELS,
  channel_unarchive: CHANNELS, channel_deleted: CHANNELS, channel_rename: CHANNELS,
  group_archive: ['groups:read'], group_deleted: ['groups:read'], group_unarchive: ['groups:read'], group_left: ['groups:read'],
  member_joined_channel: CHANNELS, member_left_channel: CHANNELS, channel_left: ['channels:read'],
};
// Asked for by a comment, because they are needed only with a setting that not everybody wants.
const OPTIONAL = ['users:read.email'];

// ---- what the code uses ---------------------------------------------------------------------------------------------

/** The sources that run, without comments and test modules. */
function sources(...folders) {
  const files = folders.flatMap(folder => readdirSync(join(ROOT, folder), { recursive: true })
    .filter(file => file.endsWith('.rs')).map(file => `${folder}/${file}`));
  return files.filter(file => !/(^|[/_])(tests?|fake|lint)(\.rs$|\/)/.test(file)).map(file => read(file)
    .split(/^#\[cfg\(test\)\]\s*mod tests \{/m)[0].replace(/^\s*\/\/.*$/gm, '')).join('\n');
}

const CODE = sources('src/slack', 'src/service', 'src/http');
const literals = pattern => new Set([...CODE.matchAll(pattern)].map(found => found[1]));
const families = new Set([...Object.keys(METHODS).map(method => method.split('.')[0]), 'reactions', 'files', 'oauth', 'pins']);
const called = [...literals(/"([a-z]+(?:\.[a-zA-Z]+)+)"/g)].filter(name => families.has(name.split('.')[0]));
const handled = [...literals(/"([a-z]+(?:_[a-z]+)+)"/g)].filter(name => Object.hasOwn(EVENTS, name));
// The service answers commands by this function; which one is Slack's to know, unless configured otherwise.
const commands = /\basync fn command\(/.test(CODE)
  ? [/^const COMMAND: &str = "(\/[a-z]+)";$/m.exec(read('src/config/slack_file.rs'))[1]] : [];
const unknown = called.filter(method => !Object.hasOwn(METHODS, method));
const needed = new Set([...called.flatMap(method => METHODS[method] ?? []), ...handled.flatMap(event => EVENTS[event]),
  ...(commands.length ? ['commands'] : [])]);

// ---- the checks -----------------------------------------------------------------------------------------------------

const same = (one, other) => {
  const [a, b] = [[...one].sort(), [...other].sort()];
  if (JSON.stringify(a) !== JSON.stringify(b)) throw new Error(`${a} is not ${b}`);
};
const none = found => { if (found.length) throw new Error(found.join('; ')); };
const is = (what, why) => { if (!what) throw new Error(why); };

const TYPE = ["AppsManifestValidateArguments['manifest']", '@slack/web-api'];
const planted = (name, noticed, plant) => {
  const manifest = structuredClone(HTTP);
  plant(manifest);
  return { name, noticed, manifest };
};
const long = count => 'w'.repeat(count);
const MUTANTS = [
  planted('a property is misspelt', ['rules', 'tsc'], m => { m.settings.socket_mode_enabeld = false; }),
  planted('a scope is misspelt', ['tsc'], m => { m.oauth_config.scopes.bot.push('chat:wrte'); }),
  planted('an event is misspelt', ['tsc'], m => {
    m.settings.event_subscriptions = { request_url: 'https://x.example', bot_events: ['app_home_open'] };
  }),
  planted('a name of 36 characters', ['rules'], m => { m.display_information.name = long(36); }),
  planted('a description of 141 characters', ['rules'], m => { m.display_information.description = long(141); }),
  planted('a long description that is short', ['rules'], m => { m.display_information.long_description = long(173); }),
  planted('a colour that is none', ['rules'], m => { m.display_information.background_color = 'blue'; }),
  planted('no name', ['rules', 'tsc'], m => { delete m.display_information.name; }),
  planted('clicks without an address', ['rules'], m => { delete m.settings.interactivity.request_url; }),
  planted('an address without TLS', ['rules'], m => { m.settings.interactivity.request_url = 'http://x.example/'; }),
  planted('a command without the slash', ['rules'], m => {
    m.features.slash_commands = [{ command: 'access', description: 'Ask', url: 'https://x.example' }];
  }),
  planted('a scope twice', ['rules'], m => { m.oauth_config.scopes.bot.push(m.oauth_config.scopes.bot[0]); }),
  planted('scopes and no bot', ['rules'], m => { delete m.features.bot_user; }),
  planted('a flag that is a word', ['rules', 'tsc'], m => { m.settings.org_deploy_enabled = 'no'; }),
];

const compiled = compile([HTTP, SOCKET, ...MUTANTS.map(mutant => mutant.manifest)].map(value => demand(...TYPE, value)));

const CHECKS = {
  'both manifests keep the rules of Slack': () => none([...problems(HTTP), ...problems(SOCKET)]),
  'both manifests are of the type that Slack publishes': () => none([...compiled[0], ...compiled[1]]),
  'the rules and the types notice planted faults': () => {
    const missed = [];
    for (const [n, { name, noticed, manifest }] of MUTANTS.entries()) {
      const found = { rules: problems(manifest).length > 0, tsc: compiled[n + 2].length > 0 };
      console.log(`        ${name.padEnd(36)} ${Object.keys(found).filter(by => found[by]).join(', ')}`);
      missed.push(...noticed.filter(by => !found[by]).map(by => `${by} does not notice: ${name}`));
    }
    none(missed);
  },
  'it is known which scopes the methods that are called need': () => none(unknown),
  'the code that calls Slack is found': () => is(called.length >= 6, `only ${called}`),
  'the app may do what the code does and no more': () => {
    for (const manifest of [HTTP, SOCKET]) {
      const { bot, bot_optional = [] } = manifest.oauth_config.scopes;
      same(bot, [...needed].filter(scope => !OPTIONAL.includes(scope)));
      none(bot_optional.filter(scope => !OPTIONAL.includes(scope)));
    }
  },
  'what is needed only with some setting stands there as a comment or as optional': () => {
    for (const scope of OPTIONAL.filter(scope => needed.has(scope))) {
      for (const name of NAMES) {
        const there = TEXT[name].includes(`# - ${scope}`) || parse(TEXT[name]).oauth_config.scopes.bot_optional?.includes(scope);
        is(there, `${name} does not mention ${scope}`);
      }
    }
  },
  'the app hears the events that the code handles and no more': () => {
    for (const manifest of [HTTP, SOCKET]) same(manifest.settings.event_subscriptions?.bot_events ?? [], handled);
  },
  'the command exists exactly when the code knows it, and mentions arrive as ids': () => {
    for (const manifest of [HTTP, SOCKET]) {
      const there = manifest.features.slash_commands ?? [];
      same(there.map(one => one.command), commands);
      is(there.every(one => one.should_escape === true), 'should_escape');
    }
  },
  'there is a home tab exactly when the code draws one': () => {
    for (const manifest of [HTTP, SOCKET]) is(manifest.features.app_home.home_tab_enabled === called.includes('views.publish'), 'home');
  },
  'messages to the app are where requesters are told': () => {
    for (const manifest of [HTTP, SOCKET]) is(manifest.features.app_home.messages_tab_enabled === true, 'messages_tab_enabled');
  },
  'Slack calls doors that exist, with Socket Mode none': () => {
    const doors = JSON.parse(read('src/http/openapi.json')).paths;
    const paths = [...TEXT['app.yaml'].matchAll(/https:\/\/countersign\.example\.com(\/\S+)/g)].map(found => found[1]);
    is(paths.includes('/slack/interactions'), 'clicks go nowhere');
    none(paths.filter(path => !Object.hasOwn(doors, path)));
    is(!/^[^#]*https:/m.test(TEXT['app-socket-mode.yaml']), 'an address with Socket Mode');
  },
  'the two manifests differ in the transport alone': () => {
    const bare = manifest => JSON.stringify(manifest, (key, value) =>
      ['request_url', 'url', 'socket_mode_enabled', 'message_menu_options_url'].includes(key) ? undefined : value);
    is(bare(HTTP) === bare(SOCKET), 'they differ elsewhere');
    is(SOCKET.settings.socket_mode_enabled === true && HTTP.settings.socket_mode_enabled === false, 'socket_mode_enabled');
  },
  'tokens are not rotated, as Countersign does not refresh them': () => {
    for (const manifest of [HTTP, SOCKET]) is(manifest.settings.token_rotation_enabled === false, 'token_rotation_enabled');
  },
};

let failed = 0;
for (const [sentence, check] of Object.entries(CHECKS)) {
  try {
    check();
    console.log(`ok      ${sentence}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${sentence}: ${error.message}`);
  }
}
console.log(`manifests of the Slack app: ${Object.keys(CHECKS).length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
