//! Who may have what: each ticket that is not exactly right is refused with its own word.

use control_token::{Claims, TicketSigner};

use crate::kit::{Setup, eventually, hour_after, payload, wall};

#[test]
fn every_bad_ticket_has_its_word_and_a_good_one_has_four_ways_in() {
    let setup = Setup::new();
    let bytes = payload(5000, 1);
    let object = setup.publish(0, "night", &bytes);
    let good = setup.play("night");
    let other = setup.play("lighthouse");
    let fill = setup.fill();
    let now = wall();
    let title = "night".parse().unwrap();
    let signed = |signer: &TicketSigner, claims: &Claims| signer.sign(claims).unwrap();
    let stranger = TicketSigner::generate().unwrap();
    let usual = Claims::play("p".into(), &title, now, hour_after(now));
    let hour_ago = control_types::UnixMillis(now.0 - 3_600_000);
    let stale = Claims::play("p".into(), &title, control_types::UnixMillis(0), hour_ago);
    let early = Claims::play("p".into(), &title, hour_after(now), hour_after(hour_after(now)));
    let elsewhere = Claims { network: Some("203.0.113.0/24".parse().unwrap()), ..usual.clone() };
    let mut forged = good.clone().into_bytes();
    let last = forged.len() - 10;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    let refused = [
        ("", "ticket_absent"),
        ("/t/garbage", "ticket_malformed"),
        (&format!("/t/{}", String::from_utf8(forged).unwrap()), "ticket_forged"),
        (&format!("/t/{}", signed(&stranger, &usual)), "ticket_forged"),
        (&format!("/t/{}", signed(&setup.signer, &stale)), "ticket_stale"),
        (&format!("/t/{}", signed(&setup.signer, &early)), "ticket_early"),
        (&format!("/t/{}", signed(&setup.signer, &elsewhere)), "ticket_network"),
        (&format!("/t/{other}"), "ticket_elsewhere"),
        (&format!("/t/{fill}"), "ticket_elsewhere"),
    ];
    let appliance = setup.start();
    let path = format!("/v/night/{object}.mp4");
    let mut connection = appliance.connect();
    for (prefix, word) in refused {
        let reply = connection.get(&format!("{prefix}{path}"), "");
        assert_eq!((reply.status, reply.text()), (403, word));
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        let labels = format!("outcome=\"{word}\"");
        eventually(word, || appliance.metric("nightfill_oca_answers_total", &labels) >= 1.0);
    }
    let ways = [
        (format!("/t/{good}{path}"), String::new()),
        (format!("{path}?CAT={good}"), String::new()),
        (path.clone(), format!("CTA-Common-Access-Token: {good}\r\n")),
        (path.clone(), format!("Cookie: a=b; CTA-Common-Access-Token={good}\r\n")),
    ];
    for (path, headers) in ways {
        assert!(connection.get(&path, &headers).body == bytes, "{path} {headers}");
    }
    appliance.counts("tickets_remembered_total", "", 3.0);
    let borrowed = connection.get(&format!("/t/{other}/v/lighthouse/{object}"), "");
    assert_eq!((borrowed.status, borrowed.text()), (404, "other_title"));
    let log = appliance.log();
    assert!(!log.contains(&good), "a ticket is a credential and is not logged");
}

/// A URL keeps the ticket that it was written with; a longer play sends the renewed one beside it.
#[test]
fn a_renewed_ticket_beside_the_url_is_tried_first_and_the_urls_own_stays_as_good_as_it_is() {
    let setup = Setup::new();
    let bytes = payload(5000, 4);
    let object = setup.publish(0, "night", &bytes);
    let (title, now) = ("night".parse().unwrap(), wall());
    let hour_ago = control_types::UnixMillis(now.0 - 3_600_000);
    let claims = Claims::play("p".into(), &title, control_types::UnixMillis(0), hour_ago);
    let stale = setup.signer.sign(&claims).unwrap();
    let (good, other) = (setup.play("night"), setup.play("lighthouse"));
    let capped = Claims {
        rate_bps_max: Some(1_000_000_000),
        ..Claims::play("p".into(), &title, now, hour_after(now))
    };
    let fresh = setup.signer.sign(&capped).unwrap();
    let appliance = setup.start();
    let mut connection = appliance.connect();
    let path = format!("/v/night/{object}.mp4");
    let header = |ticket: &str| format!("CTA-Common-Access-Token: {ticket}\r\n");
    let cookie = |ticket: &str| format!("Cookie: CTA-Common-Access-Token={ticket}\r\n");
    for beside in [header(&fresh), cookie(&fresh)] {
        for url in [format!("/t/{stale}{path}"), format!("{path}?CAT={stale}")] {
            assert_eq!(connection.get(&url, "").text(), "ticket_stale");
            assert!(connection.get(&url, &beside).body == bytes, "{url} {beside}");
        }
    }
    // Somebody's left-over takes nothing away from a URL that is good by itself.
    for left_over in [header(&stale), cookie(&other), header("garbage"), header("")] {
        let url = format!("/t/{good}{path}");
        assert!(connection.get(&url, &left_over).body == bytes, "{left_over}");
    }
    // When neither is good, the URL's word is told: it is what the player can change.
    let both =
        [(&stale, header(&other), "ticket_stale"), (&other, header(&stale), "ticket_elsewhere")];
    for (ticket, beside, word) in both {
        let reply = connection.get(&format!("/t/{ticket}{path}"), &beside);
        assert_eq!((reply.status, reply.text()), (403, word));
    }
}

#[test]
fn an_appliance_fills_from_another_with_a_fill_ticket_only() {
    let setup = Setup::new();
    let bytes = payload(400_000, 2);
    let object = setup.publish(0, "night", &bytes);
    let (fill, play) = (setup.fill(), setup.play("night"));
    let appliance = setup.start();
    let mut connection = appliance.connect();
    let seal = connection.get(&format!("/t/{fill}/o/{object}/seal"), "");
    assert_eq!(seal.status, 200);
    let seal = oca_store::Seal::decode(&seal.body).unwrap();
    assert_eq!((seal.object(), seal.bytes()), (object, bytes.len() as u64));
    let whole = connection.get(&format!("/t/{fill}/o/{object}"), "");
    assert!(whole.body == bytes);
    assert!(seal.verify_chunk(0, &whole.body[..262_144]));
    assert_eq!(connection.get(&format!("/t/{play}/o/{object}"), "").status, 403);
    assert_eq!(connection.get(&format!("/o/{object}"), "").status, 403);
    appliance.counts("fill_bytes_total", "", (bytes.len() as u64 + seal.payload_offset()) as f64);
}

#[test]
fn a_capped_ticket_is_served_at_its_pace() {
    // 1.2 MB at 3.2 Mbit/s, of which the kernel lets ten packets (640 kB here) go at once: 1.4 s.
    let setup = Setup::new();
    let bytes = payload(1_200_000, 3);
    let object = setup.publish(0, "night", &bytes);
    let now = wall();
    let claims = Claims {
        rate_bps_max: Some(3_200_000),
        ..Claims::play("p".into(), &"night".parse().unwrap(), now, hour_after(now))
    };
    let ticket = setup.signer.sign(&claims).unwrap();
    let appliance = setup.start();
    let began = std::time::Instant::now();
    assert!(appliance.get(&format!("/t/{ticket}/v/night/{object}")).body == bytes);
    assert!(began.elapsed().as_millis() > 1_000, "{:?}", began.elapsed());
}
