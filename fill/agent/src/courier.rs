//! The courier: brings orders from control and takes reports there. Control being away is normal:
//! the last orders stand.

use std::rc::Rc;

use control_types::fill::{FillStateWord, Orders};

use crate::limits::FILLING_POLL_MS;
use crate::night::Night;
use crate::orders::{Refused, Took};

/// Works until the night is stopped; the last report says that it was.
pub(crate) async fn courier(night: Rc<Night>) {
    let mut last = None;
    loop {
        let stopping = night.stopping();
        if !stopping {
            fetch_orders(&night).await;
        }
        let report = night.report();
        let filling = report.state == FillStateWord::Filling;
        if last != Some(report.state) {
            tracing::info!(state = ?report.state, done = report.objects_done,
                planned = report.objects_planned, "fill");
            last = Some(report.state);
        }
        if let Err(error) = night.control.fill_report(&report).await {
            tracing::debug!(%error, "report not taken");
        }
        if stopping {
            return;
        }
        let poll_ms = night.config.poll_ms;
        night.pause(if filling { poll_ms.min(FILLING_POLL_MS) } else { poll_ms }).await;
    }
}

async fn fetch_orders(night: &Night) {
    let asked_at = night.clock.ticks();
    let signed = match night.control.orders().await {
        Ok(signed) => signed,
        Err(error) => {
            if !night.away.replace(true) {
                tracing::warn!(%error, "no orders from control: going on from the last ones");
            }
            night.asked.set(true);
            return;
        }
    };
    if night.away.replace(false) {
        tracing::info!("control is back");
    }
    let skew = |orders: &Orders| night.clock.learn(orders.now, asked_at);
    let took = night.standing.borrow_mut().take(signed, skew, night.clock.ticks());
    match took {
        Err(error) => tracing::error!(error = error.in_full(), "orders not taken"),
        Ok(Took::Same) => {}
        Ok(Took::Refused(refused)) => {
            // Said when it begins, counted in every report: a poll a second would fill the log.
            if night.refusing.replace(Some(refused)) != Some(refused) {
                tracing::error!(why = refused.why(), "orders refused; the last good ones go on");
            }
            night.asked.set(true);
            return;
        }
        Ok(Took::New) => {
            let standing = night.standing.borrow();
            let work = standing.orders().and_then(|orders| orders.work.as_ref());
            let pulls = work.map_or(&[][..], |work| &work.pulls);
            if let Err(error) = night.ledger.borrow_mut().learn(pulls) {
                tracing::error!(error = error.in_full(), "sources not remembered");
            }
            drop(standing);
            night.lay_out();
        }
    }
    night.refusing.set(None::<Refused>);
    night.keep_gate();
    night.asked.set(true);
}
