// What the JavaScript clients' programs share: names, waiting, and one line a check.
'use strict';

const DEADLINE = 40000;
const RECORDS = 400;
const PARTITIONS = 4;

let names = 0;
const unique = (name) => `compat-${name}-${process.pid}-${Date.now()}-${names++}`;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function equal(expected, actual, what) {
  const text = (value) => JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? String(v) : v));
  if (text(expected) !== text(actual)) throw new Error(`${what}: expected ${text(expected)}, got ${text(actual)}`);
}

async function until(condition, what) {
  for (const end = Date.now() + DEADLINE; ;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${DEADLINE} ms: ${what}`);
    await pause(50);
  }
}

async function check(name, action) {
  try {
    await action();
    console.log(`ok ${name}`);
  } catch (e) {
    const causes = (e.errors || []).map((inner) => inner.message).join('; ');
    console.log(`not ok ${name}: ${`${e.name}: ${e.message} ${causes}`.replace(/\s+/g, ' ').trim().slice(0, 300)}`);
    console.error(e);
  }
}

module.exports = { RECORDS, PARTITIONS, unique, equal, until, check };
