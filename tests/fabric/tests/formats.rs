//! Wire formats: what is written is what is read, and no input makes a reader panic.

use std::time::Duration;

use proptest::prelude::*;
use understudy_fabric::addr::{Fcid, Mac};
use understudy_fabric::control::Event;
use understudy_fabric::ct::{self, Request};
use understudy_fabric::els::{self, Login, Logout, StateChange, StateChangeRegistration};
use understudy_fabric::fabric::{Config, DuplicateWwpn, Fabric, Output};
use understudy_fabric::fip::{Fip, LinkService, VnPort};
use understudy_fabric::frame::{Ethernet, FcHeader, Fcoe, readdress};
use understudy_fabric::port::LinkId;
use understudy_fabric::wwn::Wwn;

fn mac() -> impl Strategy<Value = Mac> {
    any::<[u8; 6]>().prop_map(Mac)
}

fn fcid() -> impl Strategy<Value = Fcid> {
    (0..1_u32 << 24).prop_map(Fcid)
}

fn wwn() -> impl Strategy<Value = Wwn> {
    any::<u64>().prop_map(Wwn)
}

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..=max)
}

prop_compose! {
    fn header()(
        (r_ctl, cs_ctl, fc_type, seq_id, df_ctl) in any::<(u8, u8, u8, u8, u8)>(),
        (d_id, s_id) in (fcid(), fcid()),
        f_ctl in 0..1_u32 << 24,
        (seq_cnt, ox_id, rx_id, parameter) in any::<(u16, u16, u16, u32)>(),
    ) -> FcHeader {
        FcHeader {
            r_ctl, d_id, cs_ctl, s_id, fc_type, f_ctl, seq_id, df_ctl, seq_cnt, ox_id, rx_id,
            parameter,
        }
    }
}

fn vn_port() -> impl Strategy<Value = VnPort> {
    (mac(), fcid(), wwn()).prop_map(|(mac, fcid, wwpn)| VnPort { mac, fcid, wwpn })
}

fn fip() -> impl Strategy<Value = Fip> {
    let service = prop_oneof![
        Just(LinkService::Flogi),
        Just(LinkService::Fdisc),
        Just(LinkService::Logo)
    ];
    // A descriptor is a whole number of words, as every ELS is.
    let words = prop::collection::vec(any::<[u8; 4]>(), 0..60).prop_map(|w| w.concat());
    prop_oneof![
        (mac(), wwn(), any::<u16>()).prop_map(|(enode, name, max_size)| {
            Fip::Solicitation { enode, name, max_size }
        }),
        (any::<(bool, u32, bool)>(), mac(), wwn(), wwn()).prop_map(
            |((solicited, fka_ms, no_keep_alive), fcf, switch, fabric)| {
                Fip::Advertisement {
                    solicited,
                    fcf,
                    switch,
                    fabric,
                    fka_ms,
                    no_keep_alive,
                }
            }
        ),
        (service, any::<bool>(), header(), words, prop::option::of(mac())).prop_map(
            |(service, reply, header, els, mac)| Fip::LinkService {
                service,
                reply,
                header,
                els,
                mac
            }
        ),
        (mac(), prop::option::of(vn_port()))
            .prop_map(|(enode, port)| Fip::KeepAlive { enode, port }),
        (mac(), wwn(), prop::collection::vec(vn_port(), 0..20)).prop_map(
            |(fcf, switch, ports)| Fip::ClearVirtualLink { fcf, switch, ports }
        ),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        fcid().prop_map(|fcid| Request::GpnId { fcid }),
        fcid().prop_map(|fcid| Request::GnnId { fcid }),
        fcid().prop_map(|fcid| Request::GftId { fcid }),
        fcid().prop_map(|fcid| Request::GspnId { fcid }),
        fcid().prop_map(|fcid| Request::GffId { fcid }),
        wwn().prop_map(|wwpn| Request::GidPn { wwpn }),
        wwn().prop_map(|wwnn| Request::GidNn { wwnn }),
        any::<u8>().prop_map(|fc4| Request::GidFt { fc4 }),
        any::<u8>().prop_map(|fc4| Request::GpnFt { fc4 }),
        any::<u8>().prop_map(|fc4| Request::GnnFt { fc4 }),
        (fcid(), wwn()).prop_map(|(fcid, wwnn)| Request::RnnId { fcid, wwnn }),
        (fcid(), any::<[u8; 32]>())
            .prop_map(|(fcid, types)| Request::RftId { fcid, types }),
        (fcid(), bytes(255)).prop_map(|(fcid, name)| Request::RspnId { fcid, name }),
        (fcid(), any::<u8>(), any::<u8>())
            .prop_map(|(fcid, features, fc4)| Request::RffId { fcid, features, fc4 }),
        (wwn(), bytes(255)).prop_map(|(wwnn, name)| Request::RsnnNn { wwnn, name }),
        fcid().prop_map(|fcid| Request::DaId { fcid }),
    ]
}

fn answer() -> impl Strategy<Value = ct::Answer> {
    let reject = any::<(u8, u8)>()
        .prop_map(|(reason, explanation)| ct::Reject { reason, explanation });
    prop_oneof![bytes(300).prop_map(Ok), reject.prop_map(Err)]
}

prop_compose! {
    fn login()(
        (command, credit, features, r_a_tov, e_d_tov) in any::<(u8, u16, u16, u32, u32)>(),
        receive_size in 0..1_u16 << 12,
        (wwpn, wwnn) in (wwn(), wwn()),
    ) -> Login {
        Login { command, credit, features, receive_size, r_a_tov, e_d_tov, wwpn, wwnn }
    }
}

/// Returns what a logged-in port might ask a well-known address, with a good CRC and any
/// content.
fn question() -> impl Strategy<Value = Vec<u8>> {
    let s_id = (1..5_u32).prop_map(|n| Fcid(0x01_0000 + n));
    let d_id = (0xff_fff0..0xff_ffff_u32).prop_map(Fcid);
    let kind = prop_oneof![Just((0x22, 1)), Just((0x02, 0x20)), any::<(u8, u8)>()];
    let payload = prop_oneof![
        request().prop_map(|request| request.encode()),
        login().prop_map(|login| login.encode()),
        bytes(130),
    ];
    (header(), s_id, d_id, kind, payload).prop_map(
        |(header, s_id, d_id, (r_ctl, fc_type), payload)| {
            let header = FcHeader { s_id, d_id, r_ctl, fc_type, ..header };
            let fcoe = Fcoe { sof: 0x2e, header, payload: &payload, eof: 0x42 };
            fcoe.encode(Mac::FCF, Mac::fabric_provided(s_id))
        },
    )
}

fn frame() -> impl Strategy<Value = Vec<u8>> {
    let node = Mac([2, 0, 0, 0, 0, 9]);
    let login =
        (login(), header(), any::<bool>()).prop_map(|(login, header, physical)| {
            let service = if physical { LinkService::Flogi } else { LinkService::Fdisc };
            Fip::LinkService {
                service,
                reply: false,
                header,
                els: login.encode(),
                mac: None,
            }
        });
    prop_oneof![
        prop_oneof![fip(), login].prop_map(move |fip| fip.encode(Mac::FCF, node)),
        question(),
    ]
}

/// Returns a change of one byte at any place, or none in half of the cases.
fn damage() -> impl Strategy<Value = Option<(prop::sample::Index, u8)>> {
    prop::option::of(any::<(prop::sample::Index, u8)>())
}

/// Returns a fabric with two nodes.
fn fabric() -> Fabric {
    let mut fabric = Fabric::new(Config {
        links: vec!["a".to_owned(), "b".to_owned()],
        fabric_name: Wwn(1),
        duplicate_wwpn: DuplicateWwpn::Takeover,
        npiv: true,
        keep_alive: Duration::from_secs(8),
    });
    fabric.link_up(LinkId(0), &mut Nowhere);
    fabric.link_up(LinkId(1), &mut Nowhere);
    fabric
}

/// An output that takes everything and keeps nothing.
struct Nowhere;

impl Output for Nowhere {
    fn frame(&mut self, _: LinkId, _: &[u8]) {}
    fn revoke(&mut self, _: LinkId, _: Mac) {}
    fn event(&mut self, _: Event) {}
}

proptest! {
    #[test]
    fn fip_round_trip(fip in fip(), dst in mac(), src in mac()) {
        let frame = fip.encode(dst, src);
        let ethernet = Ethernet::decode(&frame).unwrap();
        prop_assert_eq!((ethernet.dst, ethernet.src, ethernet.ethertype), (dst, src, 0x8914));
        prop_assert_eq!(Fip::decode(ethernet.payload), Some(fip));
    }

    /// Short frames come padded, because Ethernet pads them.
    #[test]
    fn fip_ignores_padding(fip in fip(), padding in bytes(40)) {
        let frame = [fip.encode(Mac::FCF, Mac::FCF), padding].concat();
        prop_assert_eq!(Fip::decode(&frame[14..]), Some(fip));
    }

    #[test]
    fn fcoe_round_trip(
        header in header(),
        payload in bytes(2112),
        (sof, eof) in any::<(u8, u8)>(),
        (dst, src) in (mac(), mac()),
    ) {
        let frame = Fcoe { sof, header, payload: &payload, eof }.encode(dst, src);
        prop_assert_eq!(frame.len() % 4, 0);
        let decoded = Fcoe::decode(&frame[14..]).unwrap();
        let f_ctl = header.f_ctl & !3 | (payload.len().wrapping_neg() & 3) as u32;
        prop_assert_eq!(decoded.header, FcHeader { f_ctl, ..header });
        prop_assert_eq!(FcHeader::peek(&frame[14..]), Some(decoded.header));
        prop_assert_eq!((decoded.payload, decoded.sof, decoded.eof), (&*payload, sof, eof));
    }

    #[test]
    fn a_damaged_fcoe_frame_is_refused(
        header in header(),
        payload in bytes(200),
        (at, bit) in (any::<prop::sample::Index>(), 0..8),
    ) {
        let mut frame = Fcoe { sof: 0x2e, header, payload: &payload, eof: 0x42 }
            .encode(Mac::FCF, Mac::FCF);
        let fc = 28..frame.len() - 4;
        frame[fc.start + at.index(fc.len())] ^= 1_u8 << bit;
        prop_assert_eq!(Fcoe::decode(&frame[14..]), None);
    }

    #[test]
    fn readdressing_changes_the_addresses_alone(
        frame in prop::collection::vec(any::<u8>(), 12..100), dst in mac(), src in mac(),
    ) {
        let mut changed = frame.clone();
        readdress(&mut changed, dst, src);
        prop_assert_eq!((&changed[..6], &changed[6..12]), (&dst.0[..], &src.0[..]));
        prop_assert_eq!(&changed[12..], &frame[12..]);
    }

    #[test]
    fn ct_round_trip(request in request(), answer in answer()) {
        prop_assert_eq!(Request::decode(&request.encode()), Ok(request));
        prop_assert_eq!(ct::decode_answer(&ct::encode_answer(&answer)), Some(answer));
    }

    #[test]
    fn a_truncated_ct_request_is_rejected(
        request in request(), at in any::<prop::sample::Index>(),
    ) {
        let whole = request.encode();
        let cut = &whole[..at.index(whole.len())];
        prop_assert_eq!(Request::decode(cut), Err(ct::Reject::BAD_SIZE));
    }

    #[test]
    fn each_fc4_type_has_its_own_bit(fc4 in any::<u8>(), other in any::<u8>()) {
        prop_assert_eq!(ct::has_type(&ct::one_type(fc4), other), fc4 == other);
    }

    #[test]
    fn els_round_trip(
        login in login(),
        (reason, explanation, function) in any::<(u8, u8, u8)>(),
        (fcid, wwpn) in (fcid(), wwn()),
        ports in prop::collection::vec(fcid(), 0..100),
    ) {
        prop_assert_eq!(login.encode().len(), Login::LEN);
        prop_assert_eq!(Login::decode(&login.encode()), Some(login));
        let reject = els::Reject { reason, explanation };
        prop_assert_eq!(els::Reject::decode(&reject.encode()), Some(reject));
        let scr = StateChangeRegistration { function };
        prop_assert_eq!(StateChangeRegistration::decode(&scr.encode()), Some(scr));
        let logout = Logout { fcid, wwpn };
        prop_assert_eq!(Logout::decode(&logout.encode()), Some(logout));
        let rscn = StateChange { ports };
        prop_assert_eq!(StateChange::decode(&rscn.encode()), Some(rscn));
    }

    /// The high bits of the field are the BB state change number (FC_SP_BB_DATA_MASK).
    #[test]
    fn a_receive_size_has_twelve_bits(login in login(), high in 0..16_u8) {
        let mut els = login.encode();
        els[10] |= high << 4;
        prop_assert_eq!(Login::decode(&els), Some(login));
    }

    #[test]
    fn a_name_is_read_as_it_is_printed(wwn in wwn()) {
        prop_assert_eq!(wwn.to_string().parse::<Wwn>(), Ok(wwn));
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in bytes(200)) {
        let _ = Ethernet::decode(&bytes);
        let _ = Fip::decode(&bytes);
        let _ = Fcoe::decode(&bytes);
        let _ = FcHeader::peek(&bytes);
        let _ = Request::decode(&bytes);
        let _ = ct::decode_answer(&bytes);
        let _ = Login::decode(&bytes);
        let _ = Logout::decode(&bytes);
        let _ = StateChange::decode(&bytes);
        let _ = StateChangeRegistration::decode(&bytes);
        let _ = els::Reject::decode(&bytes);
    }

    /// Valid frames with one byte changed get further than noise does.
    #[test]
    fn no_frame_makes_the_fabric_panic(
        frames in prop::collection::vec((frame(), damage(), any::<bool>()), 1..40),
    ) {
        let mut fabric = fabric();
        let out = &mut Nowhere;
        for (second, (mut frame, damage, link)) in frames.into_iter().enumerate() {
            if let Some((at, byte)) = damage {
                let at = at.index(frame.len());
                frame[at] = byte;
            }
            let now = Duration::from_secs(second as u64);
            fabric.receive(LinkId(usize::from(link)), &mut frame, now, out);
            fabric.tick(now, out);
        }
    }
}
