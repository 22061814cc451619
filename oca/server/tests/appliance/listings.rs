//! Counters and limits are a contract with whoever watches an appliance: both are written down in
//! `oca/server/listings`, and a change is a line in a diff. `NIGHTFILL_BLESS=1` rewrites them.

use std::path::PathBuf;

use oca::limits;

fn check(name: &str, now: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("listings").join(name);
    if std::env::var_os("NIGHTFILL_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, now).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, now, "{} differs: NIGHTFILL_BLESS=1 rewrites it", path.display());
}

#[test]
fn counters_are_as_written_down() {
    check("counters.txt", &(oca::metrics::names().join("\n") + "\n"));
}

#[test]
fn limits_are_as_written_down() {
    macro_rules! list {
        ($($name:ident)*) => {
            [$(format!("{} = {}\n", stringify!($name), limits::$name)),*].concat()
        };
    }
    let now = list! {
        WORKERS_MAX CONNECTIONS_MAX ACCEPT_HEADROOM BACKLOG HEAD_BYTES_MAX RECEIVE_BYTES
        RECEIVE_BUFFERS_MAX SPARE_HEADS_MAX
        RECORD_BYTES_MAX INCOMING_BYTES_MAX PLAIN_BYTES_MAX SESSION_BYTES RECORDS_PER_SEND
        SEND_BYTES RESPONSE_HEAD_BYTES_MAX SMALL_BODY_BYTES_MAX PACED_SEND_BYTES_MAX
        CALM_BPS_MAX CALM_GATHER_MS IDLE_GATHER_MS DEVICE_GATHER_MS IDLE_PER_CALM_MAX
        SSD_SPACING_US HDD_SPACING_US CLAIMED_BPS_MIN
        CLAIMED_TIMES_SLOW
        CHUNK_BUFFERS_MIN DEVICE_READS_SHARE SSD_OPERATIONS_MAX HDD_OPERATIONS_MAX DEVICE_OPENS_MAX
        RUN_CHUNKS_MAX DEVICE_WAITERS_MAX SSD_SILENT_MS HDD_SILENT_MS OVERDUE_LOOKS
        OVERDUE_LOOK_MS LATE_FACTOR AVOIDED_MAX AVOID_MS AVOID_GONE_MS
        HEAT_OBJECTS_MAX HEAT_REPORT_OBJECTS_MAX HEAT_HALF_LIFE_S
        ZERO_COPY_BYTES_MIN LENT_SHARE LENT_SENDS_MAX LENT_SENDS_PER_CONNECTION_MAX COPY_DOUBTS
        DOUBTS_MAX DOUBTS_BY_WAY_MAX ZERO_COPY_AGAIN_MS WAYS_OUT_MAX
        IN_FLIGHT_SHARE STARVED_MAX FILES_MAX SEAL_BYTES_MAX
        TICKETS_MAX VOLUMES_MAX LAB_FILES_MAX LOG_BATCH_BYTES LOG_LINE_BYTES_MAX LOG_BATCHES_MAX
        TROUBLES_MAX
        COMMANDS_MAX HANDSHAKE_MS_MAX HEAD_MS_MAX IDLE_MS_MAX SEND_PROGRESS_MS_MAX FIRST_REQUEST_MS
        LINGER_MS_MAX
        FIRST_BYTE_MS_MAX SLOW_READER_BPS SLOW_READER_MS CLIENT_BUCKETS CERTIFICATES_MAX
        SESSION_TICKET_BYTES_MAX SESSION_SECRET_BYTES_MIN SESSION_SECRETS_MAX LOG_FILE_BYTES
        LISTED_CONNECTIONS_MAX TAKE_OVER_MS_MAX SOCKETS_PER_MESSAGE UPGRADE_DRAIN_MS
        VOLUME_SICK_MS RETRY_AFTER_S DRAIN_MS
        STEERING_TTL_S_MAX CONTROL_TTL_S DRAIN_SPREAD_MS_MAX STEERING_BYTES_MAX BUNDLE_AGAIN_MS
        BUNDLE_LOADS_MS NEIGHBOURS_MAX WITNESSES_MAX WITNESS_EVERY PROBE_EVERY_MS PROBE_MS_MAX
        PROBE_MISSES PROBE_GOODS HEARTBEATS_MISSED SILENT_MS_MIN NAMES_MAX NAMES_MS
        GRACE_S CONTACT_NOTE_MS
    };
    check("limits.txt", &now);
}
