//! Which appliances a refusal names: the bundle's, in the order in which this member would be sent
//! there now; without a bundle, or where that knows nobody, those of the configuration.
//! Never asks anybody.

use std::sync::Arc;

use control_types::TitleId;
use oca_http::Outcome;
use oca_http::answer::NEXT_BYTES_MAX;

use super::finish::Record;
use crate::peers::{in_one_text, may_do_elsewhere};
use crate::sovereign;
use crate::worker::Station;

/// What a refusal says of where to go; absent where that would not help, or nobody is known.
pub fn next_for<K>(station: &Station<K>, record: &Record) -> Option<Arc<String>> {
    let outcome: Outcome = record.outcome;
    if !may_do_elsewhere(outcome) {
        return None;
    }
    let from_bundle = || {
        let outlook = station.shared.steering.outlook()?;
        let urls = sovereign::next(&outlook, record.note.peer?, &title_of(record)?);
        in_one_text(&urls, NEXT_BYTES_MAX)
    };
    from_bundle().map(Arc::new).or_else(|| station.shared.peers.next_for(outcome))
}

/// The title that the ticket of a refused request opens.
fn title_of(record: &Record) -> Option<TitleId> {
    let paths = &record.ticket.as_ref()?.claims.path_prefixes;
    let title = paths.iter().find_map(|path| path.strip_prefix("/v/")?.strip_suffix('/'));
    title?.parse().ok()
}
