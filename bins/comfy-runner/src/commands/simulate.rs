//! `comfy-runner simulate`

use std::process::ExitCode;
use std::time::Duration;

use comfy_runner_simulator::Simulator;

use crate::cli::Simulate;
use crate::terminal::outln;

pub fn simulate(options: Simulate) -> anyhow::Result<ExitCode> {
    let simulator = Simulator::builder()
        .listen(options.listen.to_string())
        .speak_as(options.speak_as)
        .step_delay(Duration::from_millis(options.step_ms))
        .model_load(Duration::from_millis(options.model_load_ms))
        .models_in_memory(options.vram.into())
        .speed(options.speed)
        .without_models(options.without_models)
        .data_dir(options.data)
        .stop_on_signals(true)
        .start()?;
    // One line: a reader may close the pipe behind it.
    outln!(
        "ComfyUI simulator (no models, no GPU; as ComfyUI {}) listening on {}",
        options.speak_as,
        simulator.url()
    );
    simulator.run_until_stopped()?;
    Ok(ExitCode::SUCCESS)
}
