//! The lab's command line: one file a verb.

mod verbs;

use std::process::ExitCode;

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn"))
        .format_timestamp_millis()
        .init();
    match understudy_lab::interrupt::handle().and_then(|()| verbs::run()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("understudy-lab: {error}");
            ExitCode::FAILURE
        }
    }
}
