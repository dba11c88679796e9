//! The registrations on a LUN that LIO has in memory, read while LIO waits for the
//! keeper.
//!
//! Only what takes no lock that a waiting command may hold is read. The list of
//! registrations takes `registration_lock`, which nothing in LIO holds while it waits.
//! The holder of the reservation and its type would take `dev_reservation_lock`. A PREEMPT
//! holds that lock and spins until no command uses the registration that it removes
//! (`core_scsi3_pro_preempt`, `__core_scsi3_free_registration`). If the command that waits
//! for the keeper were the one that uses it, neither would ever end. So `res_holder`,
//! `res_pr_type` and `res_pr_holder_tg_port` are not read here.
//!
//! No directory is listed either: while a backstore is removed beside this one, its
//! directory is locked for as long as a disk takes to close.

use crate::kernel::state::Record;
use crate::kernel::{self, Kernel};
use crate::lio;
use crate::wwn::Wwn;

use super::aptpl;

/// Returns LIO's list of the registrations on a LUN of the group with this node name;
/// `None` if it cannot be read, or if LIO does not preserve what it lists. `next` is the
/// record that LIO wrote, and `before` the text that was stored last.
///
/// LIO writes a text without registrations also when an initiator registers and does not
/// ask for preservation. Only where LIO preserves everything does such a text tell that
/// there are no registrations.
pub fn of(kernel: &dyn Kernel, wwnn: Wwn, next: &Record, before: &str) -> Option<String> {
    let store = lio::backstore_path(wwnn, lun(&next.text).or_else(|| lun(before))?);
    let get = |name: &str| kernel::attribute(kernel, &store.join(name)).ok();
    // The attribute reads "T10 VPD Unit Serial Number: ...".
    let serial = get("wwn/vpd_unit_serial")?;
    if serial.rsplit(": ").next() != Some(next.serial.as_str()) {
        return None;
    }
    if !aptpl::has_registrations(&next.text) && get("attrib/force_pr_aptpl")? != "1" {
        return None;
    }
    kernel.read(&store.join("pr/res_pr_registered_i_pts")).ok()
}

/// Returns the number that a text has for its LUN.
fn lun(text: &str) -> Option<u16> {
    aptpl::registrations(text).first()?.get("target_lun").parse().ok()
}
