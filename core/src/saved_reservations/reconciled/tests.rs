use super::*;

/// A registration: initiator, port, key, and the type of the reservation it holds.
type Entry = (char, u8, u64, &'static str);

/// Writes registrations as LIO does.
fn text(entries: &[Entry]) -> String {
    let each = entries.iter().enumerate().map(|(number, (who, port, key, kind))| {
        let held = match *kind {
            "" => "res_holder=0\n".to_owned(),
            kind => format!("res_holder=1\nres_type={kind}\nres_scope=00\n"),
        };
        format!(
            "PR_REG_START: {number}\ninitiator_fabric=fc\ninitiator_node={who}\n\
             sa_res_key={key}\n{held}res_all_tg_pt=0\nmapped_lun=0\n\
             target_fabric=fc\ntarget_node={port}\ntpgt=1\nport_rtpi=1\n\
             target_lun=0\nPR_REG_END: {number}\n"
        )
    });
    each.collect()
}

/// Lists registrations as LIO does.
fn memory(lines: &[(char, u64)]) -> String {
    let line = |(who, key): &(char, u64)| {
        format!("fc Node: {who} Key: 0x{key:016x} PRgen: 0x0000000a\n")
    };
    let lines: String = lines.iter().map(line).collect();
    format!("{TITLE}\n{}", if lines.is_empty() { "None\n".into() } else { lines })
}

/// A case: what LIO wrote, what was stored before, memory, and what is to be stored.
type Case<'a> = (&'a str, &'a [Entry], &'a [Entry], &'a [(char, u64)], &'a [Entry]);

fn check(cases: &[Case]) {
    for (name, now, before, lines, wanted) in cases {
        let found = reconciled(&text(now), &text(before), &memory(lines));
        assert_eq!(found, text(wanted), "{name}");
    }
}

#[test]
fn no_text_is_stored_as_older_than_memory() {
    check(&[
        ("nothing at all", &[], &[], &[], &[]),
        (
            "a new key",
            &[('a', 1, 8, ""), ('b', 1, 3, "")],
            &[('a', 1, 7, ""), ('b', 1, 3, "")],
            &[('a', 8), ('b', 3)],
            &[('a', 1, 8, ""), ('b', 1, 3, "")],
        ),
        (
            "an old key in a late text",
            &[('a', 1, 7, ""), ('b', 1, 4, "")],
            &[('a', 1, 8, ""), ('b', 1, 4, "")],
            &[('a', 8), ('b', 4)],
            &[('a', 1, 8, ""), ('b', 1, 4, "")],
        ),
        (
            "a late text without a registration that was answered",
            &[('b', 1, 4, "")],
            &[('b', 1, 3, ""), ('a', 1, 7, "")],
            &[('b', 4), ('a', 7)],
            &[('b', 1, 4, ""), ('a', 1, 7, "")],
        ),
        (
            "a registration that is on its way",
            &[('b', 1, 4, "")],
            &[('b', 1, 3, "")],
            &[('b', 4), ('a', 7)],
            &[('b', 1, 4, "")],
        ),
        (
            "a late text with a registration that is gone",
            &[('a', 1, 7, "03"), ('b', 1, 4, "")],
            &[('b', 1, 3, "")],
            &[('b', 4)],
            &[('b', 1, 4, "")],
        ),
        (
            "a registration made after CLEAR, in a file before it",
            &[],
            &[('a', 1, 7, "")],
            &[('a', 7)],
            &[('a', 1, 7, "")],
        ),
        ("CLEAR", &[], &[('a', 1, 7, "03"), ('b', 1, 3, "")], &[], &[]),
    ]);
}

#[test]
fn the_holder_comes_from_the_newer_text() {
    check(&[
        (
            "RESERVE",
            &[('a', 1, 7, "03")],
            &[('a', 1, 7, "")],
            &[('a', 7)],
            &[('a', 1, 7, "03")],
        ),
        (
            "RELEASE",
            &[('a', 1, 7, "")],
            &[('a', 1, 7, "03")],
            &[('a', 7)],
            &[('a', 1, 7, "")],
        ),
        (
            "a late text from before a registration and its reservation",
            &[('b', 1, 4, "")],
            &[('b', 1, 4, ""), ('a', 1, 7, "05")],
            &[('b', 4), ('a', 7)],
            &[('b', 1, 4, ""), ('a', 1, 7, "05")],
        ),
        (
            "a late text from before PREEMPT",
            &[('a', 1, 7, "03"), ('b', 1, 4, "")],
            &[('b', 1, 4, "05")],
            &[('b', 4)],
            &[('b', 1, 4, "05")],
        ),
        (
            "RESERVE, while another's new key is on its way",
            &[('a', 1, 7, "03"), ('c', 1, 5, "")],
            &[('a', 1, 7, ""), ('c', 1, 5, "")],
            &[('a', 7), ('c', 6)],
            &[('a', 1, 7, "03"), ('c', 1, 6, "")],
        ),
        (
            "the holder is gone",
            &[('a', 1, 7, "03"), ('b', 1, 4, "")],
            &[('a', 1, 7, "03"), ('b', 1, 3, "")],
            &[('b', 4)],
            &[('b', 1, 4, "")],
        ),
        (
            "all registrants hold it, and the first is gone",
            &[('a', 1, 7, "08"), ('b', 1, 4, ""), ('c', 1, 5, "")],
            &[('a', 1, 7, "08"), ('b', 1, 3, ""), ('c', 1, 5, "")],
            &[('b', 4), ('c', 5)],
            &[('b', 1, 4, "08"), ('c', 1, 5, "")],
        ),
    ]);
}

#[test]
fn registrations_through_two_ports_keep_their_order() {
    check(&[
        (
            "old keys in a late text",
            &[('a', 1, 5, ""), ('a', 2, 6, "03")],
            &[('a', 1, 7, ""), ('a', 2, 6, "03")],
            &[('a', 7), ('a', 8)],
            &[('a', 1, 7, ""), ('a', 2, 8, "03")],
        ),
        (
            "a late text without the second",
            &[('a', 1, 7, "")],
            &[('a', 1, 7, ""), ('a', 2, 7, "")],
            &[('a', 7), ('a', 7)],
            &[('a', 1, 7, ""), ('a', 2, 7, "")],
        ),
        (
            "a late text without the first, while a second is on its way",
            &[('b', 1, 4, "")],
            &[('b', 1, 4, ""), ('a', 1, 7, "")],
            &[('b', 4), ('a', 7), ('a', 8)],
            &[('b', 1, 4, ""), ('a', 1, 7, "")],
        ),
        (
            "a late text with a first that is gone",
            &[('a', 1, 7, ""), ('a', 2, 8, "")],
            &[('a', 2, 8, "")],
            &[('a', 8)],
            &[('a', 2, 8, "")],
        ),
        (
            "one that is gone, and nobody can tell which",
            &[('a', 1, 7, ""), ('a', 2, 7, "")],
            &[('a', 1, 7, ""), ('a', 2, 7, "")],
            &[('a', 7)],
            &[('a', 1, 7, ""), ('a', 2, 7, "")],
        ),
    ]);
}

#[test]
fn what_memory_does_not_show_stays() {
    let now = text(&[('a', 1, 7, ""), ('b', 1, 4, "03")]);
    for unreadable in ["", "None\n", "SPC-3 PR Registrations:\nfc Node: a Key: 0xz P\n"] {
        assert_eq!(reconciled(&now, "", unreadable), now, "{unreadable}");
    }
    // A page of LIO's list, in which neither `b` nor `c` can be seen.
    let mut lines = vec![('a', 8)];
    lines.resize(80, ('x', 1));
    let before = text(&[('a', 1, 8, ""), ('c', 1, 5, "")]);
    let wanted = text(&[('a', 1, 8, ""), ('b', 1, 4, "")]);
    assert_eq!(reconciled(&now, &before, &memory(&lines)), wanted);
    let now = text(&[('a', 1, 8, ""), ('b', 1, 4, "03")]);
    let before = text(&[('a', 1, 8, "")]);
    assert_eq!(reconciled(&now, &before, &memory(&lines)), now);
}

#[test]
fn sessions_of_one_name_are_told_apart() {
    let with = |session: &str, key: u64| {
        let node = format!("initiator_node=a\ninitiator_sid={session}\n");
        text(&[('a', 1, key, "")]).replace("initiator_node=a\n", &node)
    };
    let line = |session: &str, key: u64| {
        let node = format!("Node: a,i,0x{session} ");
        memory(&[('a', key)]).replace("Node: a ", &node)[TITLE.len() + 1..].to_owned()
    };
    let list = format!("{TITLE}\n{}{}", line("1", 8), line("2", 6));
    assert_eq!(reconciled(&with("2", 5), "", &list), with("2", 6));
    assert_eq!(reconciled(&with("1", 5), "", &list), with("1", 8));
}
