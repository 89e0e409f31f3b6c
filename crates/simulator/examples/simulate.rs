//! A simulator until Ctrl-C: `cargo run -p comfy-runner-simulator --example simulate [ADDRESS]`

use comfy_runner_simulator::Simulator;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8188".to_owned());
    let simulator = Simulator::builder().listen(address).stop_on_signals(true).start()?;
    println!("comfy-runner's simulator (not a ComfyUI): {}", simulator.url());
    println!("files: {}", simulator.data_dir().display());
    Ok(simulator.run_until_stopped()?)
}
