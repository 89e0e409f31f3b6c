//! How long it takes to list the jobs that wait, as `GET /api/queue` does.

use std::hint::black_box;
use std::sync::Arc;

use comfy_runner_api::Status;
use comfy_runner_protocol::Graph;
use comfy_runner_store::{Filter, Record, Sqlite, Store as _, Summary};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;
use tokio::runtime::Builder;

fn record(number: u32) -> Record {
    let graph = json!({"1": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x"}}});
    let graph = Arc::new(Graph::from_value(graph).unwrap());
    Record::new(Summary::new(format!("job {number}"), "client", "workflow", i64::from(number)), graph)
}

fn list(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().build().unwrap();
    let store = Sqlite::in_memory().unwrap();
    let statuses = vec![Status::Pending, Status::Running];
    let mut group = criterion.benchmark_group("waiting jobs");
    let mut created = 0;
    for count in [1_000, 10_000, 26_700] {
        for number in created..count {
            runtime.block_on(store.create(record(number))).unwrap();
        }
        created = count;
        group.throughput(Throughput::Elements(count.into())).sample_size(10);
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                let page = store.list(Filter::default().with_statuses(statuses.clone()));
                black_box(runtime.block_on(page).unwrap())
            });
        });
    }
}

criterion_group!(benches, list);
criterion_main!(benches);
