//! The configuration as commands of `pcs` and of `crm`.

use super::pair::{
    FENCING, HOME, MAY_COME, ONLINE, Operation, Plan, Primitive, RETRY, SPLIT,
    STICKINESS, WATCH, rule_id,
};
use crate::cluster;

/// How a shell says it: each a command, or several.
struct Shell {
    property: &'static str,
    create: fn(&Primitive) -> String,
    prefer: fn(id: &str, home: &str) -> String,
    watch: fn(giveback: Option<u32>) -> String,
    online: fn(id: &str, attributes: &[String]) -> String,
    come_home: fn(id: &str, attribute: &str) -> String,
}

/// Commands for `pcs`.
pub fn pcs(plan: &Plan) -> String {
    commands(
        plan,
        &Shell {
            property: "pcs property set",
            create: |group| {
                format!(
                    "pcs resource create {} ocf:understudy:vport{}{BREAK}op{}{BREAK}\
                     meta{}",
                    group.id,
                    parameters(group),
                    operations(&group.operations, ""),
                    meta(group)
                )
            },
            prefer: |id, home| {
                format!("pcs constraint location {id} prefers {home}={HOME}")
            },
            watch: |giveback| {
                let giveback = giveback.map(|s| format!("{BREAK}giveback={s}"));
                format!(
                    "pcs resource create fcport ocf:understudy:fcport{}{BREAK}op{}{BREAK}\
                     clone",
                    giveback.unwrap_or_default(),
                    operations(&[WATCH], "")
                )
            },
            online: |id, attributes| {
                format!(
                    "pcs constraint location {id} rule score={ONLINE}{BREAK}{}",
                    one_of(attributes)
                )
            },
            come_home: |id, attribute| {
                format!(
                    "pcs constraint location {id} rule{BREAK}\
                     constraint-id={id}-giveback score={MAY_COME} {attribute} eq 1"
                )
            },
        },
    )
}

/// Commands for `crm`.
pub fn crm(plan: &Plan) -> String {
    commands(
        plan,
        &Shell {
            property: "crm configure property",
            create: |group| {
                format!(
                    "crm configure primitive {} ocf:understudy:vport{BREAK}params{}{}{BREAK}\
                     meta{}",
                    group.id,
                    parameters(group),
                    operations(&group.operations, "op "),
                    meta(group)
                )
            },
            prefer: |id, home| {
                format!("crm configure location {id}-home {id} {HOME}: {home}")
            },
            watch: |giveback| {
                let giveback = giveback.map(|s| format!("{BREAK}params giveback={s}"));
                format!(
                    "crm configure primitive fcport ocf:understudy:fcport{}{}\n\
                     crm configure clone fcport-clone fcport",
                    giveback.unwrap_or_default(),
                    operations(&[WATCH], "op ")
                )
            },
            online: |id, attributes| {
                format!(
                    "crm configure location {} {id}{BREAK}rule {ONLINE}: {}",
                    rule_id(id, attributes),
                    one_of(attributes)
                )
            },
            come_home: |id, attribute| {
                format!(
                    "crm configure location {id}-giveback {id}{BREAK}\
                     rule {MAY_COME}: {attribute} eq 1"
                )
            },
        },
    )
}

fn commands(plan: &Plan, shell: &Shell) -> String {
    let groups = &plan.groups;
    let (name, value) = SPLIT;
    let split = format!("{} {name}={value}", shell.property);
    let mut all = vec![format!("# {FENCING}"), split];
    all.extend(groups.iter().map(shell.create));
    all.extend(groups.iter().map(|group| (shell.prefer)(&group.id, &group.home)));
    all.push((shell.watch)(plan.giveback));
    for group in groups {
        let rule = |attributes: &Vec<String>| (shell.online)(&group.id, attributes);
        all.extend(group.online.iter().map(rule));
    }
    if plan.giveback.is_some() {
        let come = |id: &String| (shell.come_home)(id, &cluster::ready(id));
        all.extend(groups.iter().map(|group| come(&group.id)));
    }
    all.join("\n") + "\n"
}

/// The break between two lines of one command.
const BREAK: &str = " \\\n    ";

/// Returns a rule's expression: a port is online by one of these attributes, or nothing
/// is known.
fn one_of(attributes: &[String]) -> String {
    let one = |name: &String| format!("not_defined {name} or {name} gt 0");
    attributes.iter().map(one).collect::<Vec<_>>().join(&format!("{BREAK}or "))
}

fn parameters(group: &Primitive) -> String {
    let parameter =
        |(name, value): &(&str, String)| format!("{BREAK}{name}={}", word(value));
    group.parameters.iter().map(parameter).collect()
}

fn meta(group: &Primitive) -> String {
    let (retry, after) = RETRY;
    let priority = group.priority;
    format!(" resource-stickiness={STICKINESS} priority={priority} {retry}={after}")
}

/// Returns operations, a line each, behind `each`.
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

/// Returns a text as one word of the shell, whatever is in it.
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
    fn any_of_two_fabrics_is_one_rule() {
        let second = ":01\", \"20:02:75:64:00:00:00:0b@10:00:00:00:00:00:00:02\"]";
        let two = PAIR.replace(
            "@10:00:00:00:00:00:00:01\"]",
            &format!("@10:00:00:00:00:00:00{second}"),
        );
        let plan = read(&format!("{two}\nfabrics = \"any\"")).unwrap();
        let rule = "not_defined fcport-1000000000000001 or fcport-1000000000000001 gt 0 \\\n    \
                    or not_defined fcport-1000000000000002 or fcport-1000000000000002 gt 0\n";
        for text in [pcs(&plan), crm(&plan)] {
            assert!(text.contains(rule), "{text}");
        }
    }

    #[test]
    fn both_shells_are_told_the_same() {
        let plan = read(&format!("giveback = 300\n{PAIR}")).unwrap();
        for text in [pcs(&plan), crm(&plan)] {
            assert!(text.starts_with("# Fencing"), "{text}");
            for part in [
                r"disks='0=naa.600140575de500000000000000000001 1=/dev/disk/by-id/a'\''b'",
                "not_defined fcport or fcport gt 0",
                "not_defined fcport-1000000000000001 or fcport-1000000000000001 gt 0",
                "stop timeout=25s",
                " priority-fencing-delay=8s\n",
                "meta resource-stickiness=1000 priority=11 failure-timeout=180s\n",
                "giveback=300",
                "ready-group-b eq 1",
                "monitor interval=61s timeout=40s OCF_CHECK_LEVEL=10",
            ] {
                assert!(text.contains(part), "{part} in\n{text}");
            }
        }
    }
}
