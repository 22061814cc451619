//! The courier: brings orders from control and takes reports there. Control being away is normal:
//! the last orders stand.

use std::rc::Rc;

use control_client::ClientError;
use control_types::fill::{FillStateWord, Orders};

use crate::config::ControlProof;
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
            let is_news = !night.away.replace(true);
            if is_no(&error) {
                turned_away(night, &error);
            } else {
                if is_news {
                    tracing::warn!(%error, "no orders from control: going on from the last ones");
                }
                night.no_orders.take();
            }
            night.asked.set(true);
            return;
        }
    };
    if night.away.replace(false) {
        tracing::info!("control is back");
    }
    let was_behind = night.standing.borrow().is_behind();
    let skew = |orders: &Orders| night.clock.learn(orders.now, asked_at);
    let took = night.standing.borrow_mut().take(signed, skew, night.clock.ticks());
    match took {
        Err(error) => {
            // Said when it begins; the report and a counter say it for as long as it lasts.
            let why = error.in_full();
            let is_first = !was_behind && night.standing.borrow().is_behind();
            if night.no_orders.replace(Some(why.clone())).is_none() || is_first {
                tracing::error!(
                    why,
                    "newer orders cannot be kept, so they are not taken: fill goes on under the \
                     last ones that were, less what the newer ones close; make room in state_dir"
                );
            }
            night.clock.keep_soon();
            night.asked.set(true);
            night.keep_gate();
            return;
        }
        Ok(Took::Same) => {}
        Ok(Took::Refused(refused)) => {
            // Said when it begins, counted in every report: a poll a second would fill the log.
            if night.refusing.replace(Some(refused)) != Some(refused) {
                tracing::error!(why = refused.why(), "orders refused; the last good ones go on");
            }
            night.no_orders.replace(Some(format!("refused: {}", refused.why())));
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
    if was_behind {
        tracing::info!("orders are kept again, and the newest are in force");
    }
    night.refusing.set(None::<Refused>);
    night.no_orders.take();
    night.keep_gate();
    night.asked.set(true);
}

/// Whether asking again would be answered the same until somebody acts. What stands before a
/// control that is away answers in its place, and that is no refusal.
fn is_no(error: &ClientError) -> bool {
    match error {
        ClientError::Refused { status, .. } | ClientError::Garbled { status, .. } => {
            *status < 500 && *status != 429
        }
        _ => !error.is_away(),
    }
}

/// Control, or what stands in its place, answered and gives this box nothing.
fn turned_away(night: &Night, error: &ClientError) {
    let appliance = &night.config.appliance;
    let why = match (error, &night.config.control_proof) {
        (ClientError::Refused { status: 401 | 403, .. }, ControlProof::Key { .. }) => format!(
            "{error}; give control.key_file the key of {appliance}, which \
             `ocactl appliance put` told when the box was new"
        ),
        (ClientError::Refused { status: 401 | 403, .. }, ControlProof::Identity(path)) => format!(
            "{error}; control does not believe {} for {appliance}: register the box anew with a \
             key of `ocactl appliance key-for`",
            path.display()
        ),
        _ => error.to_string(),
    };
    if night.no_orders.replace(Some(why.clone())).is_none() {
        tracing::error!(why, "control gives no orders: going on from the last ones");
    }
}

#[cfg(test)]
mod tests {
    use control_token::OrdersSigner;
    use control_types::UnixMillis;
    use control_types::fill::{SignedOrders, Window, WindowScope};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn orders(night: &Night, serial: u64, windows: Vec<Window>) -> Orders {
        Orders {
            appliance: night.config.appliance.clone(),
            now: night.clock.now(),
            serial,
            plan: None,
            windows,
            work: None,
            fill_ticket: String::new(),
            next_key: None,
        }
    }

    /// Answers one asker with `body` under a head that tells of `told` bytes.
    async fn answer(listener: &TcpListener, body: &[u8], told: usize) {
        let (mut asker, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            asked.push(asker.read_u8().await.unwrap());
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {told}\r\n\
             connection: close\r\n\r\n"
        );
        asker.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
        asker.shutdown().await.unwrap();
    }

    /// Goal: an answer of control that was cut short anywhere, and says so or not, opens nothing
    /// and leaves the orders in force, on disk and in memory, as they were. Method: every length.
    #[test]
    fn an_answer_that_is_cut_short_anywhere_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        tokio_uring::start(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let night = crate::night::on_folder_of(folder.path(), &url);
            let signer = OrdersSigner::generate().unwrap();
            let sign = |orders: &Orders| {
                let orders = serde_json::to_string(orders).unwrap();
                let signature = signer.sign(&orders);
                SignedOrders { orders, signature, key: signer.public_key() }
            };
            let first = orders(&night, 1, Vec::new());
            night.standing.borrow_mut().take(sign(&first), |_| 0, 0).unwrap();
            let window = Window {
                id: "night".parse().unwrap(),
                scope: WindowScope::Everyone,
                opens_at: UnixMillis(0),
                closes_at: UnixMillis(u64::MAX),
                rate_bps_max: None,
                bytes_max: None,
                closed: false,
            };
            let body = serde_json::to_vec(&sign(&orders(&night, 2, vec![window]))).unwrap();
            let path = folder.path().join("state/orders.json");
            let kept = std::fs::read(&path).unwrap();
            for sent in 0..body.len() {
                // A head that tells of the cut, and now and then one that does not.
                let tells = if sent % 8 == 3 { vec![sent, body.len()] } else { vec![sent] };
                for told in tells {
                    let answered = async {
                        // One that breaks off is asked for once more.
                        for _ in 0..if told == sent { 1 } else { 2 } {
                            answer(&listener, &body[..sent], told).await;
                        }
                    };
                    tokio::join!(fetch_orders(&night), answered);
                    assert!(night.away.get() && night.asked.get(), "{sent} bytes of {told}");
                    assert_eq!(night.standing.borrow().orders(), Some(&first), "{sent} of {told}");
                    assert!(std::fs::read(&path).unwrap() == kept, "{sent} bytes of {told}");
                    assert!(!night.must_halt(true) && night.must_halt(false), "{sent} of {told}");
                }
            }
            tokio::join!(fetch_orders(&night), answer(&listener, &body, body.len()));
            assert_eq!(night.serial(), 2);
            assert!(!night.away.get() && !night.must_halt(false));
        });
    }
}
