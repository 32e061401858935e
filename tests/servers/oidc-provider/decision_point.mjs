// A decision point that answers AuthZEN evaluations with whatever a test tells it to, however wrong.

import { once } from 'node:events';
import { createServer } from 'node:http';

/** An answer whose gate is open, with `issuance` on the gate. */
export function granted(first, second, issuance) {
  return batch([true, issuance], [first], [second]);
}

/** An answer of evaluations, each given as `[decision, issuance?, context?]`. */
export function batch(...evaluations) {
  return {
    evaluations: evaluations.map(([decision, issuance, context]) => (
      { decision, context: issuance || context ? { ...context, ...(issuance && { issuance }) } : undefined })),
  };
}

/** A decision point on a free port that answers whatever it is told to. */
export async function decisionPoint() {
  const point = { asked: [], answer: undefined };
  point.says = (answer) => {
    point.answer = (_req, res) => res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  };
  point.server = createServer(async (req, res) => {
    const chunks = await req.toArray();
    point.asked.push({ path: req.url, headers: req.headers, body: JSON.parse(Buffer.concat(chunks).toString()) });
    point.answer(req, res);
  });
  point.server.listen(0, '127.0.0.1');
  await once(point.server, 'listening');
  point.url = `http://127.0.0.1:${point.server.address().port}`;
  point.close = () => { point.server.close(); point.server.closeAllConnections(); };
  return point;
}
