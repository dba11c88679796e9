//! The configuration as commands of `pcs` and of `crm`.

use std::fmt::Write as _;

use super::pair::{HOME, ONLINE, Operation, Plan, Primitive, STICKINESS};

const FENCING: &str =
    "# Fencing must be configured and tried: without it nothing here is safe.\n";

/// Commands for `pcs`.
pub fn pcs(plan: &Plan) -> String {
    let mut text = FENCING.to_owned();
    for group in &plan.groups {
        let id = &group.id;
        let _ = writeln!(
            text,
            "pcs resource create {id} ocf:understudy:vport{}{BREAK}op{}{BREAK}\
             meta resource-stickiness={STICKINESS}",
            parameters(group),
            operations(&group.operations, "")
        );
    }
    for Primitive { id, home, .. } in &plan.groups {
        let _ = writeln!(text, "pcs constraint location {id} prefers {home}={HOME}");
    }
    let _ = writeln!(
        text,
        "pcs resource create fcport ocf:understudy:fcport{BREAK}\
         op monitor interval=5s timeout=20s{BREAK}clone"
    );
    for Primitive { id, attributes, .. } in &plan.groups {
        for attribute in attributes {
            let _ = writeln!(
                text,
                "pcs constraint location {id} rule score={ONLINE}{BREAK}\
                 not_defined {attribute} or {attribute} gt 0"
            );
        }
    }
    text
}

/// Commands for `crm`.
pub fn crm(plan: &Plan) -> String {
    let mut text = FENCING.to_owned();
    for group in &plan.groups {
        let id = &group.id;
        let _ = writeln!(
            text,
            "crm configure primitive {id} ocf:understudy:vport{BREAK}params{}{}{BREAK}\
             meta resource-stickiness={STICKINESS}",
            parameters(group),
            operations(&group.operations, "op ")
        );
    }
    for Primitive { id, home, .. } in &plan.groups {
        let _ = writeln!(text, "crm configure location {id}-home {id} {HOME}: {home}");
    }
    let _ = writeln!(
        text,
        "crm configure primitive fcport ocf:understudy:fcport{BREAK}\
         op monitor interval=5s timeout=20s\n\
         crm configure clone fcport-clone fcport"
    );
    for Primitive { id, attributes, .. } in &plan.groups {
        for attribute in attributes {
            let _ = writeln!(
                text,
                "crm configure location {id}-{attribute} {id}{BREAK}\
                 rule {ONLINE}: not_defined {attribute} or {attribute} gt 0"
            );
        }
    }
    text
}

/// A command goes on in the next line.
const BREAK: &str = " \\\n    ";

fn parameters(group: &Primitive) -> String {
    let parameter =
        |(name, value): &(&str, String)| format!("{BREAK}{name}={}", word(value));
    group.parameters.iter().map(parameter).collect()
}

/// A line each, behind `each`.
fn operations(operations: &[Operation], each: &str) -> String {
    let operation = |operation: &Operation| {
        let Operation { name, interval, timeout, level } = operation;
        let mut text = format!("{BREAK}{each}{name}");
        if *interval > 0 {
            text += &format!(" interval={interval}s");
        }
        text += &format!(" timeout={timeout}s");
        if *level > 0 {
            text += &format!(" OCF_CHECK_LEVEL={level}");
        }
        text
    };
    operations.iter().map(operation).collect()
}

/// A word of the shell, whatever is in it.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::super::pair::{read, tests::PAIR};
    use super::*;

    #[test]
    fn both_shells_are_told_the_same() {
        let plan = read(PAIR).unwrap();
        for text in [pcs(&plan), crm(&plan)] {
            assert!(text.starts_with("# Fencing"), "{text}");
            for part in [
                r"disks='0=naa.600140575de500000000000000000001 1=/dev/disk/by-id/a'\''b'",
                "not_defined fcport or fcport gt 0",
                "not_defined fcport-1000000000000001 or fcport-1000000000000001 gt 0",
                "stop timeout=60s",
                "monitor interval=61s timeout=40s OCF_CHECK_LEVEL=10",
            ] {
                assert!(text.contains(part), "{part} in\n{text}");
            }
        }
    }
}
