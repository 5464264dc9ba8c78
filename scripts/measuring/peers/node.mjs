// graphile-worker, pg-boss and BullMQ: one phase of one of them, as a line of JSON.
// Settings: each one's documentation on performance, for many short jobs.
const [name, phase, jobs] = [process.argv[2], process.argv[3], Number(process.argv[4])];
const url = process.env.QUEUE_URL;
const now = () => performance.now() / 1000;
const redis = () => { const { hostname: host, port } = new URL(url); return { host, port: Number(port) }; };

// What a peer can do: add one, add many, work with a handler, and end.
const peers = {
  async "graphile-worker"() {
    const { makeWorkerUtils, run } = await import("graphile-worker");
    const utils = await makeWorkerUtils({ connectionString: url, maxPoolSize: 16 });
    await utils.migrate();
    return {
      add: (payload) => utils.addJob("nothing", payload),
      addMany: (count) => utils.addJobs(Array.from({ length: count }, () => ({ identifier: "nothing", payload: {} }))),
      async work(handler) {
        const preset = { worker: { connectionString: url, concurrentJobs: 24, maxPoolSize: 25,
          localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } };
        const runner = await run({ preset, taskList: { nothing: async (payload) => handler(payload) }, noHandleSignals: true });
        return () => runner.stop();
      },
      end: () => utils.release(),
    };
  },
  async "pg-boss"() {
    const { PgBoss } = await import("pg-boss");
    const boss = new PgBoss({ connectionString: url, max: 16, useListenNotify: true });
    boss.on("error", (error) => console.error(error));
    await boss.start();
    await boss.createQueue("nothing", { notify: true });
    return {
      add: (payload) => boss.send("nothing", payload),
      addMany: (count) => boss.insert("nothing", Array.from({ length: count }, () => ({ data: {} }))),
      async work(handler) {
        const many = { batchSize: 500, localConcurrency: 2, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 };
        await boss.work("nothing", many, async (batch) => { for (const job of batch) handler(job.data); });
        return () => boss.offWork("nothing");
      },
      end: () => boss.stop({ graceful: false }),
    };
  },
  async bullmq() {
    const { Queue, Worker } = await import("bullmq");
    const queue = new Queue("nothing", { connection: redis() });
    return {
      add: (payload) => queue.add("nothing", payload, { removeOnComplete: true }),
      addMany: (count) => queue.addBulk(Array.from({ length: count }, () => ({ name: "nothing", data: {}, opts: { removeOnComplete: true } }))),
      async work(handler) {
        const connection = { ...redis(), maxRetriesPerRequest: null };
        const worker = new Worker("nothing", async (job) => handler(job.data), { connection, concurrency: 100 });
        await worker.waitUntilReady();
        return () => worker.close();
      },
      end: () => queue.close(),
    };
  },
};

const phases = {
  async enqueue(peer) {
    let left = Math.min(jobs, 10000);
    const ones = left;
    const begun = now();
    await Promise.all(Array.from({ length: 64 }, async () => { while (left-- > 0) await peer.add({}); }));
    const one = ones / (now() - begun);
    const bulk = now();
    for (let done = 0; done < jobs; done += 1000) await peer.addMany(1000);
    return { one_by_one: one, bulk: jobs / (now() - bulk) };
  },
  async drain(peer) {
    // What the phase before laid in.
    const all = jobs + Math.min(jobs, 10000);
    let [done, begun] = [0, 0];
    const ended = new Promise((resolve) => {
      peer.work(() => { begun ||= now(); if (++done === all) resolve(now()); }).then((stop) => { peer.stop = stop; });
    });
    const rate = all / ((await ended) - begun);
    await peer.stop?.();
    return { drain: rate };
  },
  async pickup(peer) {
    let heard = () => {};
    const stop = await peer.work(() => heard(now()));
    const took = [];
    await new Promise((resolve) => setTimeout(resolve, 1000));
    for (let number = 0; number < 200; number++) {
      const arrived = new Promise((resolve) => { heard = resolve; });
      const sent = now();
      await peer.add({});
      took.push(((await arrived) - sent) * 1000);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await stop();
    took.sort((a, b) => a - b);
    return { pickup_p50_ms: took[100], pickup_p99_ms: took[198] };
  },
};

const peer = await peers[name]();
const found = await phases[phase](peer);
console.log(JSON.stringify(found));
await Promise.race([peer.end(), new Promise((resolve) => setTimeout(resolve, 2000))]);
process.exit(0);
