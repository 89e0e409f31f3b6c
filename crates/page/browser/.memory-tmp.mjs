import { Person, launch } from "./support/browser.js";
import { TestServer } from "./support/server.js";
const server = await TestServer.start(); const browser = await launch();
const person = await Person.enter(browser, server);
const page = await person.open("/w/test-progress");
await server.execute("test-progress", { steps: 4000, delay_ms: 100 });
await page.getByRole("img", { name: "Preview" }).waitFor();
const cdp = await person.context.newCDPSession(page);
for (let i = 0; i <= 8; i++) {
  await cdp.send("HeapProfiler.collectGarbage");
  const { usedSize } = await cdp.send("Runtime.getHeapUsage");
  const dom = await cdp.send("Memory.getDOMCounters");
  console.log(new Date().toISOString(), "heap", (usedSize/1e6).toFixed(2), "MB nodes", dom.nodes, "listeners", dom.jsEventListeners);
  await page.waitForTimeout(45000);
}
await person.context.close(); await browser.close(); await server.stop();
