//! Descriptors, the parts of a FIP frame. Each has a type, a length in words, and a body.

use crate::addr::{Fcid, Mac};
use crate::bytes::{Put, Reader};
use crate::frame::FcHeader;
use crate::wwn::Wwn;

use super::{LinkService, VnPort};

pub(super) const PRIORITY: u8 = 1;
const MAC: u8 = 2;
const NAME: u8 = 4;
pub(super) const FABRIC: u8 = 5;
pub(super) const SIZE: u8 = 6;
const VN_PORT: u8 = 11;
pub(super) const FKA: u8 = 12;

/// The descriptors of one frame, as they came.
#[derive(Default)]
pub(super) struct Descriptors {
    pub(super) priority: bool,
    pub(super) mac: Option<Mac>,
    pub(super) name: Option<Wwn>,
    pub(super) fabric: Option<Wwn>,
    pub(super) size: Option<u16>,
    pub(super) fka: Option<(bool, u32)>,
    pub(super) ports: Vec<VnPort>,
    pub(super) service: Option<(LinkService, FcHeader, Vec<u8>)>,
}

impl Descriptors {
    pub(super) fn read(mut list: Reader<'_>) -> Option<Self> {
        let mut all = Self::default();
        while !list.is_empty() {
            let kind = list.u8()?;
            let len = usize::from(list.u8()?) * 4;
            let mut body = Reader::new(list.take(len.checked_sub(2)?)?);
            match kind {
                PRIORITY => all.priority = true,
                MAC => all.mac = Some(Mac(body.array()?)),
                NAME => {
                    body.skip(2)?;
                    all.name = Some(Wwn(body.u64()?));
                }
                FABRIC => {
                    body.skip(6)?;
                    all.fabric = Some(Wwn(body.u64()?));
                }
                SIZE => all.size = Some(body.u16()?),
                VN_PORT => all.ports.push(VnPort::read(&mut body)?),
                FKA => {
                    body.skip(1)?;
                    all.fka = Some((body.u8()? & 1 == 1, body.u32()?));
                }
                7..=9 => {
                    body.skip(2)?;
                    let header = FcHeader::read(&mut body)?;
                    let service = match kind {
                        7 => LinkService::Flogi,
                        8 => LinkService::Fdisc,
                        _ => LinkService::Logo,
                    };
                    all.service = Some((service, header, body.rest().to_vec()));
                }
                // FC-BB-5: an unknown descriptor below 128 is critical.
                0..128 => return None,
                _ => {}
            }
        }
        Some(all)
    }
}

impl VnPort {
    fn read(body: &mut Reader<'_>) -> Option<Self> {
        let mac = Mac(body.array()?);
        body.skip(1)?;
        Some(Self { mac, fcid: Fcid(body.u24()?), wwpn: Wwn(body.u64()?) })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        descriptor(out, VN_PORT, |body| {
            body.put(&self.mac.0);
            body.put_zeros(1);
            body.put_u24(self.fcid.0);
            body.put_u64(self.wwpn.0);
        });
    }
}

/// Appends a descriptor: type, length in words, then what `fill` writes.
pub(super) fn descriptor(out: &mut Vec<u8>, kind: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut body = Vec::new();
    fill(&mut body);
    let words = (body.len() + 2).div_ceil(4);
    body.resize(words * 4 - 2, 0);
    out.put_u8(kind);
    out.put_u8(u8::try_from(words).unwrap_or(u8::MAX));
    out.put(&body);
}

pub(super) fn mac_descriptor(out: &mut Vec<u8>, mac: Mac) {
    descriptor(out, MAC, |body| body.put(&mac.0));
}

pub(super) fn name_descriptor(out: &mut Vec<u8>, name: Wwn) {
    descriptor(out, NAME, |body| {
        body.put_zeros(2);
        body.put_u64(name.0);
    });
}
