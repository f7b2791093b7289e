//! Short conversations to look at.

use std::net::SocketAddr;

use synfin_tests::conversation::{Conversation, Sender};

/// A whole connection from this client to this server.
pub(crate) fn whole(client: &str, server: &str) -> Conversation {
    between(client, server)
        .open()
        .data(Sender::Client, 5)
        .close(Sender::Client)
}

/// One to be added to.
pub(crate) fn between(client: &str, server: &str) -> Conversation {
    Conversation::between((address(client), 1_000), (address(server), 2_000))
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}
