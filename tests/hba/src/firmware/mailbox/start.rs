//! The start of the firmware.

use crate::chip::{Mailboxes, Requests, Responses, Status};
use crate::wire::Vp;

use super::super::setup::{LEN, Setup};
use super::super::{Hba, Report};
use super::{Outcome, done, failed};

impl Hba {
    /// Starts the firmware with the driver's init control block.
    pub(super) fn start(&mut self, mailboxes: &Mailboxes) -> Outcome {
        let block = match self.memory.read_vec(mailboxes.address(), LEN) {
            Ok(block) => block,
            Err(fault) => {
                self.nonsense(format!("an init control block: {fault}"));
                return failed(Status::Parameter);
            }
        };
        let Some(setup) = Setup::decode(&block) else {
            self.nonsense("an init control block without rings");
            return failed(Status::Parameter);
        };
        if self.state.setup.is_some() {
            self.nonsense("a second start without a reset");
            return failed(Status::Error);
        }
        let (requests, responses, atios) = (setup.requests, setup.responses, setup.atios);
        self.state.requests = Requests::new(requests.0, requests.1);
        self.state.requests_end = self.state.requests.out();
        self.state.responses = Responses::new(responses.0, responses.1);
        self.state.atios = Responses::new(atios.0, atios.1);
        self.state.setup = Some(setup);
        self.report(Report::Started {
            target: setup.target,
            initiator: setup.initiator,
            wwpn: setup.names.wwpn,
        });
        done(&[])
    }

    /// Begins the login of the physical port. That comes after the answer to the start:
    /// the driver ignores events before.
    pub(super) fn begin_login(&mut self) {
        if let Some(setup) = self.state.setup {
            let result = self.wire.login(Vp::PHYSICAL, setup.names, self.now);
            if let Err(error) = result {
                log::error!("login of the physical port: {error}");
            }
        }
    }
}
