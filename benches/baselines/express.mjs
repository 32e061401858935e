// A hook as one would write it in an afternoon: express verifies the Standard Webhooks signature, one grant is
// read and one audit row written per call, durably. Node's own crypto, prepared statements, nothing in between.
import { createHmac, timingSafeEqual } from 'node:crypto';
import Database from 'better-sqlite3';
import express from 'express';

const key = Buffer.from(process.env.BILLING_HOOK_SECRET.replace(/^whsec_/, ''), 'base64');
const db = new Database(process.env.DATABASE);
db.pragma('journal_mode = WAL');
db.pragma('synchronous = FULL');
db.exec(`
  CREATE TABLE IF NOT EXISTS grants (client TEXT, subject TEXT, scope TEXT, expires_at INTEGER,
    PRIMARY KEY (client, subject)) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS audit (seq INTEGER PRIMARY KEY, at INTEGER, call_id TEXT, body TEXT) STRICT;`);
const grantFor = db.prepare('SELECT scope, expires_at FROM grants WHERE client = ? AND subject = ?');
const record = db.prepare('INSERT INTO audit (at, call_id, body) VALUES (?, ?, ?)');
const seed = db.prepare('INSERT OR REPLACE INTO grants VALUES (?, ?, ?, ?)');
for (let n = 0; n < 64; n += 1) {
  seed.run('billing-cli', `person${n}@example.com`, 'invoices:read payments:refund', Date.now() + 4 * 3_600_000);
}

function signed(request) {
  const id = request.get('webhook-id');
  const at = request.get('webhook-timestamp');
  if (!id || !at || Math.abs(Date.now() / 1000 - Number(at)) > 300) return false;
  const tag = createHmac('sha256', key).update(`${id}.${at}.`).update(request.body).digest();
  return (request.get('webhook-signature') ?? '').split(' ').some((signature) => {
    const given = Buffer.from(signature.replace(/^v1,/, ''), 'base64');
    return given.length === tag.length && timingSafeEqual(given, tag);
  });
}

const app = express();
app.disable('x-powered-by');
app.disable('etag');
app.post('/hooks/:name', express.raw({ type: '*/*' }), (request, response) => {
  if (!signed(request)) return response.status(401).json({ error: 'unauthorized' });
  const asked = JSON.parse(request.body);
  const grant = grantFor.get(asked.client_id, asked.subject);
  const now = Date.now();
  if (!grant || grant.expires_at <= now) return response.status(403).json({ decision: 'denied' });
  const expires_in = Math.min(asked.expires_in, 900, Math.floor((grant.expires_at - now) / 1000));
  const body = JSON.stringify({ client: asked.client_id, subject: asked.subject, scope: grant.scope, expires_in });
  record.run(now, request.get('webhook-id'), body);
  response.json({ decision: 'granted', scope: grant.scope, expires_in });
});
const server = app.listen(0, '127.0.0.1', () => console.log(`ready on 127.0.0.1:${server.address().port}`));
