//! The program `understudy-hba`: see `--help`.

use std::io::{self, Write};
use std::process::ExitCode;

use understudy_fabric::program::ServerError;
use understudy_hba::options::{self, Command, HELP};
use understudy_hba::server::{Server, Setup};

fn main() -> ExitCode {
    env_logger::Builder::from_default_env().init();
    let setup = match options::parse(std::env::args_os().skip(1)) {
        Ok(Command::Run(setup)) => setup,
        Ok(Command::Help) => {
            // If the pipe is closed, nobody needs the help.
            let _ = io::stdout().write_all(HELP.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("understudy-hba: {error} (see --help)");
            return ExitCode::from(2);
        }
    };
    match run(*setup) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("understudy-hba: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(setup: Setup) -> Result<(), ServerError> {
    let mut server = Server::start(setup)?;
    let mut stdout = io::stdout();
    // The process that started this one may not read its output.
    let _ = writeln!(stdout, "ready").and_then(|()| stdout.flush());
    server.run()
}
