//! `understudy configure` on the file that README shows, as it is printed there.

use std::fs;
use std::process::Command;

const README: &str = include_str!("../../README.md");

/// Returns the indented block that follows a line of README.
fn block_after(line_before: &str) -> String {
    let lines = README.lines().skip_while(|line| !line.ends_with(line_before)).skip(1);
    let lines = lines.take_while(|line| line.is_empty() || line.starts_with("    "));
    lines.map(|line| line.trim_start().to_owned() + "\n").collect()
}

#[test]
fn the_file_of_the_readme_makes_a_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pair.toml");
    fs::write(&file, block_after("with times that fit the number of LUNs:")).unwrap();
    for format in ["pcs", "crm", "xml"] {
        let output = Command::new(env!("CARGO_BIN_EXE_understudy"))
            .arg("configure")
            .arg(&file)
            .args(["--format", format])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{format}: {output:?}");
        assert!(said.contains("group-a") && said.contains("fcport"), "{format}: {said}");
    }
}
