// Puts a file by its name in blocks, loads it back, verifies every block and the whole; then reads its end, and lists the
// level of names that it is at.
//
//     node transfer.js ADDRESS UNIT FILE [NAME]
//
// ADDRESS is host:port or unix:PATH of a `vault-grpc serve`, or grpcs://host:port of one with TLS: then VAULT_GRPC_CA is
// the file of the authorities to trust, and VAULT_GRPC_TOKEN says who calls. The wire is described in VAULT_API.md.

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';

import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';
import { createXXHash3 } from 'hash-wasm';

const BLOCK_SIZE = 1 << 20;
const PROTO = fileURLToPath(new URL('../../../proto', import.meta.url));

const definition = protoLoader.loadSync('vault/v1/vault.proto', {
  includeDirs: [PROTO],
  longs: String, // 64-bit numbers do not fit JavaScript's; as text they lose nothing
  defaults: true,
  oneofs: true,
});
const { VaultService } = grpc.loadPackageDefinition(definition).vault.v1;

const hasher = await createXXHash3(0, 0);

/** XXH3-64 with seed 0, as the decimal text of an unsigned number. */
function checksum(bytes) {
  return BigInt(`0x${hasher.init().update(bytes).digest('hex')}`).toString();
}

/** A random id, 1 to 2^63 - 1. */
function newId() {
  return ((randomBytes(8).readBigUInt64BE() >> 1n) || 1n).toString();
}

/** Plain, or for grpcs:// encrypted, with the token on every call. */
function credentialsFor(address) {
  if (!address.startsWith('grpcs://')) return grpc.credentials.createInsecure();
  const { VAULT_GRPC_CA: ca, VAULT_GRPC_TOKEN: token } = process.env;
  const channel = grpc.credentials.createSsl(ca ? readFileSync(ca) : null);
  if (!token) return channel;
  const metadata = new grpc.Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  const call = grpc.credentials.createFromMetadataGenerator((_options, done) => done(null, metadata));
  return grpc.credentials.combineChannelCredentials(channel, call);
}

/** Start, blocks, commit, end of stream; resolves to the ObjectInfo. Whoever bears the name is replaced. */
async function put(client, unit, name, path) {
  const file = await open(path);
  const call = client.Put();
  try {
    return await converse(call, unit, name, file);
  } catch (error) {
    call.cancel(); // nothing is stored; without this the call would go on, and keep the process alive
    throw error;
  } finally {
    await file.close();
  }
}

async function converse(call, unit, name, file) {
  const replies = call[Symbol.asyncIterator]();
  const send = async (request) => {
    if (!call.write(request)) await once(call, 'drain');
  };

  await send({ start: { unit, put: { dataId: newId(), name, requestId: randomBytes(16) } } });
  await replies.next(); // persistedSize 0: accepted. What is refused is thrown here, before any bytes.

  // What the server sends meanwhile must be read, or it stops reading too.
  const outcome = (async () => {
    for (;;) {
      const { value, done } = await replies.next();
      if (done) throw new Error('the server ended the stream without an ObjectInfo');
      if (value.part === 'info') return value.info;
      console.log(`  ${value.persistedSize} bytes staged`);
    }
  })();

  const whole = await createXXHash3(0, 0);
  whole.init();
  let offset = 0;
  for await (const data of blocks(file)) {
    whole.update(data);
    // Whichever comes first: the block is on its way, or the server has refused one before.
    await Promise.race([send({ block: { offset, data, checksum: checksum(data) } }), outcome]);
    offset += data.length;
  }
  await send({ commit: { size: offset, checksum: BigInt(`0x${whole.digest('hex')}`).toString() } });
  call.end(); // the commit takes effect when the stream ends after it
  return outcome;
}

/** A file's bytes in blocks: each of BLOCK_SIZE, but for the last. */
async function* blocks(file) {
  for (;;) {
    const buffer = Buffer.allocUnsafe(BLOCK_SIZE); // a new one each time: the last may not be sent yet
    let length = 0;
    while (length < BLOCK_SIZE) {
      const { bytesRead } = await file.read(buffer, length, BLOCK_SIZE - length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    if (length > 0) yield buffer.subarray(0, length);
    if (length < BLOCK_SIZE) return;
  }
}

/** Reads an object, verifies each block and the whole; resolves to the number of blocks. */
async function load(client, unit, dataId) {
  const whole = await createXXHash3(0, 0);
  whole.init();
  let info;
  let size = 0;
  let count = 0;
  const call = client.Load({ unit, key: { dataId } });
  try {
    for await (const reply of call) {
      if (reply.part === 'info') {
        info = reply.info;
        continue;
      }
      const { offset, data, checksum: stored } = reply.block;
      if (Number(offset) !== size) throw new Error(`block at ${offset}, expected ${size}`);
      if (checksum(data) !== stored) throw new Error(`block at ${offset} does not match its checksum`);
      whole.update(data);
      size += data.length;
      count += 1;
    }
  } finally {
    call.cancel(); // or a call that is given up goes on, and keeps the process alive; harmless after its end
  }
  if (String(size) !== info.size) throw new Error(`${size} bytes came, the object has ${info.size}`);
  if (BigInt(`0x${whole.digest('hex')}`).toString() !== info.checksum) throw new Error('the whole does not match');
  return count;
}

/** A unary call as a promise. */
function ask(client, method, request) {
  return new Promise((resolve, reject) => {
    client[method](request, (error, reply) => (error ? reject(error) : resolve(reply)));
  });
}

/** The last bytes of an object, at most 8, in one call. */
async function readEnd(client, unit, name) {
  const request = { unit, key: { name }, ranges: [{ offset: -8 }], exactBelow: BLOCK_SIZE / 4 };
  const { parts, blocks: whole } = await ask(client, 'Read', request);
  // Cut where a block ends; a block of which all is wanted comes whole.
  const pieces = [...parts, ...whole].sort((one, other) => Number(one.offset) - Number(other.offset));
  for (const { data, checksum: sent } of pieces) {
    if (checksum(data) !== sent) throw new Error('what was read does not match its checksum');
  }
  return Buffer.concat(pieces.map(({ data }) => data)).subarray(-8);
}

/** One level of names, as of a folder, page by page. */
async function* level(client, unit, prefix) {
  let pageToken = '';
  do {
    const page = await ask(client, 'List', { unit, prefix, delimiter: '/', pageToken });
    if (!page.ordered) throw new Error('this server is older than levels: fold them out of all names');
    yield* page.prefixes;
    for (const info of page.objects) yield info.name;
    pageToken = page.nextPageToken;
  } while (pageToken);
}

const [address, unit, path, name = path && basename(path)] = process.argv.slice(2);
if (path === undefined) {
  console.error('usage: node transfer.js ADDRESS UNIT FILE [NAME]');
  process.exit(2);
}
// grpc-js would otherwise go through http_proxy of the environment.
const target = address.replace('grpcs://', '');
const client = new VaultService(target, credentialsFor(address), { 'grpc.enable_http_proxy': 0 });
try {
  const info = await put(client, unit, name, path);
  console.log(`put ${info.name}: id ${info.dataId}, generation ${info.generation}`);
  console.log(`  ${info.size} bytes, checksum ${info.checksum}`);
  const count = await load(client, unit, info.dataId);
  console.log(`loaded it back: ${count} blocks, each verified, and the whole`);
  console.log(`it ends with ${(await readEnd(client, unit, name)).toString('hex') || 'nothing: it is empty'}`);
  const prefix = name.slice(0, name.lastIndexOf('/') + 1);
  for await (const beside of level(client, unit, prefix)) console.log(`beside it: ${beside}`);
} catch (error) {
  console.error(`${grpc.status[error.code] ?? 'error'}: ${error.details ?? error.message}`);
  process.exitCode = 1;
} finally {
  client.close();
}
