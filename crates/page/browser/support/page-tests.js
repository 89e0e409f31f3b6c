// The tests of one file: a server and a browser that they share, and a person who enters before each and leaves after it.
import { after, before, test as nodeTest } from "node:test";
import { Person, launch } from "./browser.js";
import { TestServer } from "./server.js";

/**
 * @param {object} [options] of the server
 * @param {() => Promise<void>} [prepare] is called once, when the server runs
 */
export function pageTests(options, prepare) {
  const server = new TestServer(options);
  let browser;
  /** The people and the further servers of the test that runs. */
  let people, servers;
  before(async () => {
    await server.start();
    browser = await launch();
    await prepare?.();
  });
  after(async () => {
    await browser?.close();
    await server.stop();
  });

  /** Lets another person in, until the test ends. */
  async function enter(options = {}, at = server) {
    const person = await Person.enter(browser, at, options);
    people.push(person);
    return person;
  }

  /** Starts another server, until the test ends. */
  async function startServer(options) {
    const another = await new TestServer(options).start();
    servers.push(another);
    return another;
  }

  /** Defines a test: `test(name, run)`, or with options of the person, `test(name, options, run)`. */
  function test(name, ...rest) {
    const [personOptions, run] = rest.length === 1 ? [{}, ...rest] : rest;
    nodeTest(name, async () => {
      [people, servers] = [[], []];
      try {
        await run(await enter(personOptions));
        for (const person of people) person.assertNoProblems();
      } finally {
        for (const person of people) await person.leave();
        for (const another of servers) await another.stop();
      }
    });
  }
  return { server, test, enter, startServer };
}
