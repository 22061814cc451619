//! Rotates ticket keys and reads revocations that another process made. Woken every
//! `TICKETS_EVERY_MS`; takes no input. Takes nothing back by itself.

use std::sync::Arc;
use std::time::Duration;

use control_gateway::TicketDesk;
use control_store::Ledger;

use crate::clock::now;
use crate::limits::TICKETS_EVERY_MS;
use crate::rotation::{self, Rotation};

pub(super) async fn run(desk: Arc<TicketDesk>, ledger: Arc<dyn Ledger>, rotation: Rotation) {
    let mut every = tokio::time::interval(Duration::from_millis(TICKETS_EVERY_MS));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first tick is now, and everything was read a moment ago.
    every.tick().await;
    loop {
        every.tick().await;
        match rotation::in_force(&*ledger, &rotation, now()).await {
            Ok((signer, keys)) => {
                desk.swap_keys(signer, keys);
            }
            Err(error) => tracing::warn!(%error, "ticket keys were not looked at"),
        }
        if let Err(error) = desk.refresh(now()).await {
            tracing::warn!(%error, "revocations were not read again");
        }
    }
}
