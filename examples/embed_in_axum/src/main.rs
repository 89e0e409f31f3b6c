//! Usage: `cargo run -p embed_in_axum -- http://127.0.0.1:8188 fixtures/workflows`

use anyhow::bail;
use comfy_runner_runner::Runner;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [url, workflows] = &arguments[..] else { bail!("usage: embed_in_axum URL WORKFLOWS") };
    let runner = Runner::builder(url).workflows(workflows).state_dir("jobs").start()?;
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, embed_in_axum::app(runner.clone()))
        .with_graceful_shutdown(async {
            if tokio::signal::ctrl_c().await.is_err() {
                eprintln!("Ctrl-C cannot be received");
            }
        })
        .await?;
    runner.shutdown().await?;
    Ok(())
}
