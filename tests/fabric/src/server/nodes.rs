//! Nodes at the other ends of the links: their connections, and the frames from them.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;

use nix::poll::PollFlags;

use crate::link::{Inbox, Outbox};
use crate::port::LinkId;
use crate::socket::Socket;

use super::Server;

/// The sockets of a link: the one that listens, and the connection.
pub(super) struct Source {
    pub(super) socket: Socket,
    pub(super) node: Option<UnixStream>,
    pub(super) inbox: Inbox,
}

impl Server {
    pub(super) fn serve_link(&mut self, index: usize, events: PollFlags) {
        let (link, now) = (LinkId(index), self.wires.now());
        let Some(source) = self.sources.get_mut(index) else { return };
        let Some(node) = &mut source.node else {
            if let Some(node) = source.socket.accept() {
                source.node = Some(node);
                source.inbox = Inbox::default();
                self.wires.idle();
                self.fabric.link_up(link, &mut self.wires);
            }
            return;
        };
        let hung_up = PollFlags::POLLHUP | PollFlags::POLLERR;
        if !events.intersects(PollFlags::POLLIN | hung_up) {
            return;
        }
        let alive = match source.inbox.fill(node) {
            Ok(0) => false,
            Ok(_) => loop {
                match source.inbox.next_frame() {
                    Ok(Some(frame)) => {
                        self.wires.received(link, frame, now);
                        self.fabric.receive(link, frame, now, &mut self.wires);
                    }
                    Ok(None) => break true,
                    Err(error) => {
                        log::error!("{}: {error}", source.socket.path().display());
                        break false;
                    }
                }
            },
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        };
        if !alive {
            source.node = None;
            if let Some(wire) = self.wires.wires.get_mut(index) {
                wire.outbox = Outbox::default();
            }
            self.wires.idle();
            self.fabric.link_down(link, &mut self.wires);
        }
    }
}
