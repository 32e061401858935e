// The smallest approval bot: Bolt verifies Slack's signature, and each click is a durable row before it is
// acknowledged. It does not ask who may click, edits no card and tells nobody.
import bolt from '@slack/bolt';
import Database from 'better-sqlite3';

const db = new Database(process.env.DATABASE);
db.pragma('journal_mode = WAL');
db.pragma('synchronous = FULL');
db.exec('CREATE TABLE IF NOT EXISTS clicks (value TEXT PRIMARY KEY, user TEXT, at INTEGER) STRICT, WITHOUT ROWID');
const record = db.prepare('INSERT OR IGNORE INTO clicks (value, user, at) VALUES (?, ?, ?)');

const app = new bolt.App({
  signingSecret: process.env.SLACK_SIGNING_SECRET,
  authorize: async () => ({ botToken: 'xoxb-benchmark', botId: 'B0BENCH', botUserId: 'U0BENCHBOT' }),
  clientOptions: { slackApiUrl: process.env.SLACK_API_URL },
  logLevel: bolt.LogLevel.ERROR,
});
app.action('approve', async ({ ack, action, body }) => {
  record.run(action.value, body.user.id, Date.now());
  await ack();
});
const server = await app.start({ port: 0, host: '127.0.0.1' });
console.log(`ready on 127.0.0.1:${server.address().port}`);
