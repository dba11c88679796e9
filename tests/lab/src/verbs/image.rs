//! `image`: builds the guests' image, if it is not cached.

use std::process::ExitCode;

use understudy_lab::Result;
use understudy_lab::image::Image;

pub fn run() -> Result<ExitCode> {
    println!("{}", Image::get()?.root().display());
    Ok(ExitCode::SUCCESS)
}
