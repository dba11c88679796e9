//! Logins of a driver: to the name server, and of others to its target.

use understudy_fabric::addr::Fcid;
use understudy_fabric::ct::{Request, one_type};
use understudy_hba::chip::iocb::kind;
use understudy_hba::fields::{Entry, Fields};
use understudy_hba::wire::Names;

use crate::driver::{DATA, Driver, Seen, dma, plogi, segment};
use crate::rig::BASE;

impl Driver {
    /// Logs a port of the HBA in to the name server.
    pub fn log_in_to_name_server(&mut self, vp: u8) {
        let answer = self.by_mailbox(&plogi(Fcid::DIRECTORY, 0x7fc, vp));
        assert_eq!((answer.u16(8), answer.u32(60)), (0, 1), "{answer:?}");
    }

    /// Sends a CT request of a port of the HBA, and returns the answer.
    pub fn ct(&mut self, vp: u8, request: &Request) -> Vec<u8> {
        let bytes = request.encode();
        self.poke(DATA, &bytes);
        let mut entry = Entry::new(kind::CT);
        entry.set_u32(4, 77);
        entry.set_u16(10, 0x7fc);
        entry.set(14, &[vp]);
        segment(&mut entry, 40, DATA, u32::try_from(bytes.len()).unwrap());
        segment(&mut entry, 52, DATA + 0x1000, 0x1000);
        self.push(&[entry]);
        let answer = self.one();
        assert_eq!((answer.kind(), answer.handle(), answer.u16(8)), (kind::CT, 77, 0));
        self.peek(DATA + 0x1000, usize::try_from(answer.u32(32)).unwrap())
    }

    /// Registers a port of the HBA as a target, so that initiators find it.
    pub fn register(&mut self, vp: u8) {
        let fcid = self.id(vp);
        self.ct(vp, &Request::RftId { fcid, types: one_type(8) });
        self.ct(vp, &Request::RffId { fcid, features: 1, fc4: 8 });
    }

    /// Returns the address of a port of the HBA, by mailbox.
    pub fn id(&mut self, vp: u8) -> Fcid {
        let answer = self.done(&[0x20, 0, 0, 0, 0, 0, 0, 0, 0, u16::from(vp)]);
        Fcid(u32::from(answer.at(3)) << 16 | u32::from(answer.at(2)))
    }

    /// Acknowledges a notice.
    pub fn acknowledge(&mut self, notice: &Entry) {
        let mut ack = *notice;
        ack.set(0, &[kind::NOTIFY_ACK]);
        ack.set_u32(4, 0x55);
        ack.set_u16(12, 0);
        self.push(&[ack]);
    }

    /// Acknowledges a notice so that its ELS has no answer.
    pub fn terminate(&mut self, notice: &Entry) {
        let mut ack = *notice;
        ack.set(0, &[kind::NOTIFY_ACK]);
        ack.set_u16(12, 1 << 3);
        self.push(&[ack]);
        self.one();
    }

    /// Returns how far the login with a handle has come, as the port database has it.
    pub fn stage(&mut self, handle: u16) -> Option<u8> {
        let answer = self.mailbox(&dma(0x64, DATA, &[(1, handle)]));
        answer.is_ok().then(|| self.peek(DATA, 64)[2])
    }

    /// Lets the initiator log in to a port of the HBA, as the stock driver answers it.
    pub fn admit(&mut self, names: Names) -> u16 {
        self.rig.initiator.log_in(names.wwpn);
        let handle = self.accept_login();
        assert!(self.rig.has_session());
        handle
    }

    /// Accepts the login of an initiator: PLOGI and PRLI.
    pub fn accept_login(&mut self) -> u16 {
        let notice = self.one();
        assert_eq!((notice.kind(), notice.u8(18)), (kind::IMMEDIATE_NOTIFY, 0x03));
        self.acknowledge(&notice);
        let seen = self.take();
        let [Seen::Response(ack), Seen::Atio(notice)] = seen[..] else {
            panic!("{seen:?}")
        };
        assert_eq!((ack.kind(), ack.handle(), ack.u16(16)), (kind::NOTIFY_ACK, 0x55, 1));
        assert_eq!((notice.kind(), notice.u8(18)), (kind::IMMEDIATE_NOTIFY, 0x20));
        self.acknowledge(&notice);
        self.one();
        notice.u16(8)
    }
}

#[test]
fn a_login_that_the_driver_refuses_has_not_begun() {
    let mut driver = Driver::target();
    driver.rig.initiator.log_in(BASE.wwpn);
    let notice = driver.one();
    let handle = notice.u16(8);
    assert_eq!(driver.stage(handle), Some(3));
    driver.terminate(&notice);
    assert_eq!(driver.stage(handle), None);
    driver.rig.initiator.log_in(BASE.wwpn);
    let notice = driver.one();
    driver.acknowledge(&notice);
    let [Seen::Response(_), Seen::Atio(notice)] = driver.take()[..] else {
        panic!("no PRLI")
    };
    assert_eq!(driver.stage(handle), Some(5));
    driver.terminate(&notice);
    assert_eq!(driver.stage(handle), Some(4));
}
