// SPDX-License-Identifier: Apache-2.0
// What Node's parser (llhttp) takes a request's head for.  Reads a JSON array of base64 texts on stdin,
// writes a JSON array: {ok, method, url, fields, body: none|length|chunked, length}.
//
// Node tells nothing about framing, so it is seen from what it does with what follows the head: 0,
// or a chunk's size line, or bytes that are counted.
const { HTTPParser, methods, allMethods } = process.binding("http_parser");
const names = allMethods ?? methods;

function run(bytes) {
	const seen = { fields: [], body: 0, isDone: false };
	const parser = new HTTPParser();
	parser.initialize(HTTPParser.REQUEST, {}, 65536);
	parser[HTTPParser.kOnHeaders | 0] = (fields) => { seen.fields.push(...fields); };
	parser[HTTPParser.kOnHeadersComplete | 0] = (major, minor, fields, method, url) => {
		if (seen.method !== undefined)
			return 0; // another request: the first has ended
		seen.fields.push(...(fields ?? []));
		seen.method = names[method];
		seen.url = url;
		return 0;
	};
	parser[HTTPParser.kOnBody | 0] = (b, at, n) => { seen.body += n ?? b.length; };
	parser[HTTPParser.kOnMessageComplete | 0] = () => { seen.isDone = true; };
	const rc = parser.execute(bytes, 0, bytes.length);
	seen.error = rc instanceof Error ? rc.code : null;
	return seen;
}

function opinion(head) {
	const alone = run(head);
	if (alone.error || alone.method === undefined)
		return { ok: false, why: alone.error };
	const fields = [];
	for (let i = 0; i < alone.fields.length; i += 2)
		fields.push([alone.fields[i], alone.fields[i + 1]]);
	const common = { ok: true, method: alone.method, url: alone.url, fields };
	if (alone.isDone)
		return { ...common, body: "none", length: 0 };
	if (run(Buffer.concat([head, Buffer.from("0\r\n\r\n")])).isDone &&
		run(Buffer.concat([head, Buffer.from("zz\r\n")])).error)
		return { ...common, body: "chunked", length: 0 };
	return { ...common, body: "length", length: run(Buffer.concat([head, Buffer.alloc(4096, "A")])).body };
}

const chunks = [];
for await (const c of process.stdin)
	chunks.push(c);
const heads = JSON.parse(Buffer.concat(chunks)).map((t) => Buffer.from(t, "base64"));
process.stdout.write(JSON.stringify(heads.map(opinion)));
