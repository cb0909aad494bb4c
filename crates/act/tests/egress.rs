//! What may be reached, and what happens when the other side misbehaves. Nothing here connects beyond loopback.

mod made;

use std::time::{Duration, Instant};

use act::{Egress, EgressSettings, Failure, Outcome, Outgoing, Reason, deliver};
use made::{Behaviour, Server, Told, channel, notice, now};
use serde_json::json;
use types::Time;

fn settings(allow: &[&str]) -> EgressSettings {
    let allow = allow.iter().map(|s| s.to_string()).collect();
    EgressSettings { allow, connect_timeout_s: 1, total_timeout_s: 1, ..Default::default() }
}

fn egress(allow: &[&str]) -> Egress {
    Egress::new(&settings(allow), &[]).unwrap()
}

fn post(url: &str) -> Outgoing {
    Outgoing { url: url.into(), headers: Vec::new(), body: b"{}".to_vec() }
}

fn hook(server: &Server) -> act::Channel {
    channel(json!({"kind": "webhook", "url": server.url("/hook?x=1"), "secret_env": "KEY"}), "0123456789abcdef")
}

/// Ways to write an address that must not be reached, with what the refusal says. `PORT` is where a server listens that
/// must not be asked.
const CORPUS: &[(&str, &str)] = &[
    // Spellings of loopback.
    ("http://127.0.0.1:PORT/", "a loopback address"),
    ("https://127.0.0.1:PORT/", "a loopback address"),
    ("http://2130706433:PORT/", "a loopback address"),
    ("http://0x7f000001:PORT/", "a loopback address"),
    ("http://017700000001:PORT/", "a loopback address"),
    ("http://0x7f.1:PORT/", "a loopback address"),
    ("http://0177.0.0.1:PORT/", "a loopback address"),
    ("http://127.1:PORT/", "a loopback address"),
    ("http://127.0.1:PORT/", "a loopback address"),
    ("http://127.0.0.1.:PORT/", "a loopback address"),
    ("http://%31%32%37.0.0.1:PORT/", "a loopback address"),
    ("http://１２７.０.０.１:PORT/", "a loopback address"),
    ("http://127。0。0。1:PORT/", "a loopback address"),
    ("http://[::1]:PORT/", "a loopback address"),
    ("http://[0:0:0:0:0:0:0:1]:PORT/", "a loopback address"),
    ("http://[::ffff:127.0.0.1]:PORT/", "a loopback address"),
    ("http://[::ffff:7f00:1]:PORT/", "a loopback address"),
    ("http://[::127.0.0.1]:PORT/", "a loopback address"),
    ("http://[64:ff9b::127.0.0.1]:PORT/", "a loopback address"),
    ("http://[2002:7f00:1::]:PORT/", "a loopback address"),
    ("http:127.0.0.1:PORT/", "a loopback address"),
    ("http:///127.0.0.1:PORT/", "a loopback address"),
    ("HTTP://127.0.0.1:PORT", "a loopback address"),
    // Names that lead there.
    ("http://localhost:PORT/", "a loopback address"),
    ("http://LOCALHOST.:PORT/", "a loopback address"),
    ("http://localtest.me:PORT/", "a loopback address"),
    ("http://127.0.0.1.nip.io:PORT/", "a loopback address"),
    ("https://both.example:PORT/", "a loopback address"),
    // Other networks.
    ("http://0.0.0.0:PORT/", "the unspecified address"),
    ("http://0:PORT/", "the unspecified address"),
    ("http://[::]:PORT/", "the unspecified address"),
    ("http://169.254.169.254/latest/meta-data/", "a link-local address"),
    ("http://2852039166/latest/meta-data/", "a link-local address"),
    ("http://[::ffff:a9fe:a9fe]/", "a link-local address"),
    ("http://[fe80::1]/", "a link-local address"),
    ("https://metadata.google.internal/", "a link-local address"),
    ("http://[fd00:ec2::254]/", "a unique local address"),
    ("https://10.0.0.1/", "a private address"),
    ("https://172.31.255.255/", "a private address"),
    ("https://192.168.1.1/", "a private address"),
    ("https://100.100.100.200/", "a carrier's network"),
    ("https://224.0.0.1/", "a multicast address"),
    ("https://255.255.255.255/", "a reserved address"),
    ("https://198.18.0.1/", "a reserved address"),
    // Users' names, other schemes, what two readers could read differently.
    ("https://hooks.example.com@127.0.0.1:PORT/", "a user's name"),
    ("https://user:pass@hooks.example.com/", "a user's name"),
    ("https://@127.0.0.1:PORT/", "a user's name or an @"),
    ("http://127.0.0.1:PORT\\@hooks.example.com/", "a backslash"),
    ("http://hooks.example.com#@127.0.0.1:PORT/", "use https"),
    ("http://127.0.0.1:PORT\t/", "white space"),
    ("http://127.0.0.1:PORT/\r\nX: y", "white space"),
    (" http://127.0.0.1:PORT/", "white space"),
    ("file:///etc/passwd", "only https and http"),
    ("gopher://127.0.0.1:PORT/_x", "only https and http"),
    ("ftp://127.0.0.1:PORT/", "only https and http"),
    ("javascript:alert(1)", "only https and http"),
    ("//127.0.0.1:PORT/", "not a URL"),
    ("http://hooks.example.com/", "use https"),
    ("https://hooks.example.com:0/", "port 0"),
    ("http://[::1%25lo]:PORT/", "not a URL"),
    ("http://256.256.256.256/", "not a URL"),
    ("", "not a URL"),
];

#[tokio::test]
async fn nothing_of_the_corpus_is_reached() {
    let server = Server::start(Behaviour::Say("HTTP/1.1 200 OK\r\n\r\n".into())).await;
    assert!(CORPUS.len() >= 30);
    for (url, expected) in CORPUS {
        let answers: &[&str] = match url {
            url if url.contains("both.example") => &["1.1.1.1", "127.0.0.1"],
            url if url.contains("metadata.google") => &["169.254.169.254"],
            url if url.contains("hooks.example.com") => &["1.1.1.1"],
            _ => &["127.0.0.1"],
        };
        let egress = egress(&[]).with_resolver(Told::new(&[answers]));
        let url = url.replace("PORT", &server.address.port().to_string());
        match egress.send(&post(&url)).await {
            Err(Failure::Refused(why)) => assert!(why.contains(expected), "{url:?}: {why}"),
            other => panic!("{url:?}: {other:?}"),
        }
    }
    assert_eq!(*server.connections.lock(), 0);
}

/// However an address is spelled, the verdict is that of the address.
#[tokio::test]
async fn spellings_do_not_change_the_verdict() {
    use act::address::{Class, class};
    let client = egress(&[]);
    let mut seed = 7u32;
    for round in 0..4000 {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Half of them from the first octets that matter.
        let first = [0u32, 10, 100, 127, 169, 172, 192, 198, 203, 224, 255, 8][(seed >> 8) as usize % 12];
        let number = if round % 2 == 0 { seed } else { (first << 24) | (seed >> 8) };
        let [a, b, c, d] = number.to_be_bytes();
        let public = class(std::net::IpAddr::V4(number.into())) == Class::Public;
        let (high, low) = (number >> 16, number & 0xffff);
        for host in [
            format!("{a}.{b}.{c}.{d}"),
            format!("{number}"),
            format!("{number:#x}"),
            format!("0{number:o}"),
            format!("{a:#x}.0{b:o}.{low}"),
            format!("{a}.{}", number & 0xff_ffff),
            format!("{a}.{b}.{c}.{d}."),
            format!("[::ffff:{a}.{b}.{c}.{d}]"),
            format!("[0:0:0:0:0:ffff:{high:x}:{low:x}]"),
            format!("[64:ff9b::{high:x}:{low:x}]"),
            format!("[2002:{high:x}:{low:x}::]"),
        ] {
            let verdict = client.check(&format!("https://{host}/")).await;
            assert_eq!(verdict.is_ok(), public, "{host} {a}.{b}.{c}.{d}: {verdict:?}");
        }
    }
}

#[tokio::test]
async fn public_addresses_pass_over_https_alone() {
    let public = |settings| Egress::new(&settings, &[]).unwrap().with_resolver(Told::new(&[&["1.1.1.1", "1.0.0.1"]]));
    let client = public(settings(&[]));
    let target = client.check("https://Hooks.Example.com/a?b#c").await.unwrap();
    assert_eq!((target.host.as_str(), target.port, target.https), ("hooks.example.com", 443, true));
    assert_eq!(target.addresses.len(), 2);
    assert!(matches!(client.check("http://hooks.example.com/").await, Err(Failure::Refused(_))));
    let plain = EgressSettings { plain_http: vec!["hooks.example.com:80".into()], ..settings(&[]) };
    assert!(public(plain.clone()).check("http://hooks.example.com/").await.is_ok());
    assert!(public(plain).check("http://hooks.example.com:8080/").await.is_err());
    let nobody = egress(&[]).with_resolver(Told::new(&[&[]]));
    assert!(matches!(nobody.check("https://x.example/").await, Err(Failure::NotSent(_))));
}

#[tokio::test]
async fn the_settings_open_hosts_and_networks() {
    let with = |allow: &[&str], answer: &str| egress(allow).with_resolver(Told::new(&[&[answer]]));
    for (allow, answer, url, opened) in [
        ("10.1.0.0/16", "10.1.2.3", "http://am.internal:9093/", true),
        ("10.1.0.0/16", "10.2.2.3", "http://am.internal:9093/", false),
        ("am.internal:9093", "10.2.2.3", "http://am.internal:9093/", true),
        ("AM.internal:9093", "::ffff:10.2.2.3", "http://am.INTERNAL:9093/", true),
        ("am.internal:9093", "10.2.2.3", "http://am.internal:9094/", false),
        ("am.internal:9093", "10.2.2.3", "http://xam.internal:9093/", false),
        // Whoever answers for the name must not be able to point it at a cloud's credentials.
        ("am.internal:9093", "169.254.169.254", "http://am.internal:9093/", false),
        ("am.internal:9093", "0.0.0.0", "http://am.internal:9093/", false),
        ("169.254.0.0/16", "169.254.169.254", "http://am.internal:9093/", true),
        ("[::1]:9093", "1.1.1.1", "http://[::1]:9093/", true),
        ("127.0.0.1:9093", "1.1.1.1", "http://127.1:9093/", true),
        ("fd00::/8", "fd00::5", "http://am.internal/", true),
        // A public network in the list does not open plain http.
        ("1.1.1.0/24", "1.1.1.1", "http://am.internal/", false),
    ] {
        assert_eq!(with(&[allow], answer).check(url).await.is_ok(), opened, "{allow} {answer} {url}");
    }
}

#[tokio::test]
async fn the_servers_own_addresses_are_refused_in_an_open_network_too() {
    let server = Server::start(Behaviour::Say("HTTP/1.1 200 OK\r\n\r\n".into())).await;
    let port = server.address.port();
    for own in [format!("127.0.0.1:{port}"), format!("0.0.0.0:{port}"), format!("[::ffff:127.0.0.1]:{port}")] {
        let client = Egress::new(&settings(&["127.0.0.0/8"]), &[own.parse().unwrap()]).unwrap();
        match client.send(&post(&server.url("/"))).await {
            Err(Failure::Refused(why)) => assert!(why.contains("this server itself listens"), "{why}"),
            other => panic!("{own}: {other:?}"),
        }
        assert!(client.check(&format!("http://127.0.0.1:{}/", port - 1)).await.is_ok());
        let named = Egress::new(&settings(&[&format!("127.0.0.1:{port}")]), &[own.parse().unwrap()]).unwrap();
        assert!(named.check(&server.url("/")).await.is_ok());
    }
    assert_eq!(*server.connections.lock(), 0);
}

#[cfg(target_os = "linux")] // 127.0.0.2 is there without being set up.
#[tokio::test]
async fn a_resolver_that_changes_its_mind_leads_nowhere_else() {
    let allowed = Server::start(Behaviour::Say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".into())).await;
    let port = allowed.address.port();
    let elsewhere = format!("127.0.0.2:{port}").parse().unwrap();
    let elsewhere = Server::start_on(elsewhere, Behaviour::Say("HTTP/1.1 200 OK\r\n\r\n".into())).await;
    let resolver = Told::new(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let client = egress(&["127.0.0.1/32"]).with_resolver(resolver.clone());
    let url = format!("http://rebind.example:{port}/");
    assert_eq!(client.send(&post(&url)).await.unwrap().status, 200);
    assert_eq!(resolver.asked.lock().len(), 1, "asked once for one request");
    assert_eq!(*allowed.connections.lock(), 1);
    assert!(matches!(client.send(&post(&url)).await, Err(Failure::Refused(_))));
    assert_eq!(resolver.asked.lock().len(), 2, "asked anew for each request");
    assert_eq!(*elsewhere.connections.lock(), 0);
}

#[tokio::test]
async fn a_request_says_what_it_must_and_no_more() {
    let server = Server::start(Behaviour::Say("HTTP/1.1 204 No Content\r\nset-cookie: a=b\r\n\r\n".into())).await;
    let (client, channel) = (egress(&["127.0.0.0/8"]), hook(&server));
    for _ in 0..2 {
        let outcome = deliver(&client, &channel, &notice(Reason::Opened), now()).await;
        assert_eq!(outcome, Outcome::Delivered { receipt: None });
    }
    assert_eq!(*server.connections.lock(), 2, "no connection is kept");
    let requests = server.requests.lock();
    let (head, body) = requests[1].split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<_> = head.lines().collect();
    assert_eq!(lines.remove(0), "POST /hook?x=1 HTTP/1.1");
    let mut names: Vec<_> = lines.iter().filter_map(|l| l.split_once(": ")).map(|(name, _)| name).collect();
    names.sort();
    let expected = "bellwether-delivery bellwether-signature connection content-length content-type host user-agent";
    assert_eq!(names.join(" "), expected);
    assert!(lines.contains(&format!("host: {}", server.address).as_str()));
    assert!(lines.contains(&concat!("user-agent: bellwether/", env!("CARGO_PKG_VERSION"))));
    let secret = act::Secret::new("0123456789abcdef");
    let signature = act::channel::webhook::signature(&secret, now(), body.as_bytes());
    assert!(lines.contains(&format!("bellwether-signature: {signature}").as_str()));
}

#[tokio::test]
async fn every_misbehaviour_has_its_outcome() {
    let ok = "HTTP/1.1 200 OK\r\n";
    let cases: Vec<(&str, Behaviour, fn(&Outcome) -> bool)> = vec![
        ("hangs", Behaviour::SayAndHang(String::new()), |o| matches!(o, Outcome::Unknown { .. })),
        ("closes at once", Behaviour::CloseAtOnce, |o| matches!(o, Outcome::Unknown { .. } | Outcome::Retry { .. })),
        ("closes after the request", Behaviour::Say(String::new()), |o| matches!(o, Outcome::Unknown { .. })),
        ("cut in the status", Behaviour::Say("HTTP/1.1 20".into()), |o| matches!(o, Outcome::Unknown { .. })),
        ("cut in the headers", Behaviour::Say(format!("{ok}a: b\r\n")), |o| matches!(o, Outcome::Unknown { .. })),
        ("speaks something else", Behaviour::Say("SSH-2.0-x\r\n".into()), |o| matches!(o, Outcome::Unknown { .. })),
        ("endless headers", Behaviour::SayWithoutEnd(format!("{ok}a: ")), |o| matches!(o, Outcome::Unknown { .. })),
        ("endless body", Behaviour::SayWithoutEnd(format!("{ok}\r\n")), |o| matches!(o, Outcome::Delivered { .. })),
        ("body cut", Behaviour::Say(format!("{ok}content-length: 9\r\n\r\nab")), |o| {
            matches!(o, Outcome::Delivered { .. })
        }),
        (
            "429",
            Behaviour::Say("HTTP/1.1 429 X\r\nretry-after: 7\r\n\r\n".into()),
            |o| matches!(o, Outcome::Retry { after: Some(a), .. } if a.as_secs() == 7),
        ),
        (
            "429 date",
            Behaviour::Say("HTTP/1.1 429 X\r\nretry-after: Fri, 27 Nov 2026 13:00:30 GMT\r\n\r\n".into()),
            |o| matches!(o, Outcome::Retry { after: Some(a), .. } if a.as_secs() == 30),
        ),
        (
            "500",
            Behaviour::Say("HTTP/1.1 500 X\r\n\r\n<secret>".into()),
            |o| matches!(o, Outcome::Retry { after: None, why } if !why.contains("secret")),
        ),
        (
            "400",
            Behaviour::Say("HTTP/1.1 400 <secret>\r\n\r\n<secret>".into()),
            |o| matches!(o, Outcome::Refused { why } if !why.contains("secret")),
        ),
        (
            "redirect",
            Behaviour::Say("HTTP/1.1 307 X\r\nlocation: http://169.254.169.254/latest/meta-data/\r\n\r\n".into()),
            |o| matches!(o, Outcome::Refused { why } if why.contains("redirect")),
        ),
        ("101", Behaviour::Say("HTTP/1.1 101 X\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n".into()), |o| {
            !matches!(o, Outcome::Delivered { .. })
        }),
    ];
    let client = egress(&["127.0.0.0/8"]);
    for (name, behaviour, expected) in cases {
        let server = Server::start(behaviour).await;
        let start = Instant::now();
        let outcome = deliver(&client, &hook(&server), &notice(Reason::Opened), now()).await;
        assert!(expected(&outcome), "{name}: {outcome:?}");
        assert!(start.elapsed() < Duration::from_secs(3), "{name} took {:?}", start.elapsed());
        assert_eq!(*server.connections.lock(), 1, "{name}: one try, one connection");
    }
}

#[tokio::test]
async fn where_nobody_listens_it_is_worth_another_try() {
    let gone = Server::start(Behaviour::CloseAtOnce).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = egress(&["127.0.0.0/8"]);
    assert!(matches!(client.send(&post(&format!("http://{address}/"))).await, Err(Failure::NotSent(_))));
    // TLS to a server that does not speak it: nothing of the request has left.
    let url = format!("https://{}/", gone.address);
    assert!(matches!(client.send(&post(&url)).await, Err(Failure::NotSent(_))));
    assert!(gone.requests.lock().is_empty());
}

#[tokio::test]
async fn certificates_are_checked_against_name_and_authority() {
    let answer = Behaviour::Say("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".into());
    let (port, requests) = made::start_tls(answer).await;
    let trusting = EgressSettings { ca_file: Some(made::TEST_CA.into()), ..settings(&["127.0.0.0/8"]) };
    let client = |settings| Egress::new(&settings, &[]).unwrap().with_resolver(Told::new(&[&["127.0.0.1"]]));
    let good = client(trusting.clone()).send(&post(&format!("https://hooks.test:{port}/a"))).await.unwrap();
    assert_eq!(good.status, 202);
    assert!(requests.lock()[0].starts_with("POST /a HTTP/1.1\r\n"));
    for (settings, host, expected) in [
        (trusting.clone(), "other.test", "not valid for it"),
        (trusting, "127.0.0.1", "not valid for it"),
        (settings(&["127.0.0.0/8"]), "hooks.test", "not trusted"),
    ] {
        match client(settings).send(&post(&format!("https://{host}:{port}/b"))).await {
            Err(Failure::NotSent(why)) => assert!(why.contains(expected), "{host}: {why}"),
            other => panic!("{host}: {other:?}"),
        }
    }
    assert_eq!(requests.lock().len(), 1, "no request went over a connection that was not trusted");
}

#[tokio::test]
async fn a_slack_bot_keeps_a_thread_and_understands_refusals() {
    let say = |body: &str| Behaviour::Say(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
    let client = egress(&["127.0.0.0/8"]);
    let bot = |server: &Server| {
        channel(json!({"kind": "slack", "channel": "C1", "api_url": server.url("/api"), "secret_env": "KEY"}), "xoxb-1")
    };
    let server = Server::start(say(r#"{"ok":true,"ts":"1767323045.000100"}"#)).await;
    let first = deliver(&client, &bot(&server), &notice(Reason::Opened), now()).await;
    let Outcome::Delivered { receipt: Some(thread) } = first else { panic!("{first:?}") };
    assert_eq!(thread, "1767323045.000100");
    let server = Server::start(say(r#"{"ok":true,"ts":"1767323999.000100"}"#)).await;
    let second = act::Notice { receipt: Some(thread.clone()), ..notice(Reason::Cause) };
    let outcome = deliver(&client, &bot(&server), &second, now()).await;
    assert_eq!(outcome, Outcome::Delivered { receipt: Some(thread) }, "the first message stays the thread");
    let request = server.requests.lock()[0].clone();
    assert!(request.starts_with("POST /api/chat.postMessage "), "{request}");
    assert!(request.contains("authorization: Bearer xoxb-1"));
    assert!(request.contains(r#""thread_ts":"1767323045.000100""#));
    let answers: [(&str, fn(&Outcome) -> bool); 6] = [
        (
            r#"{"ok":false,"error":"not_in_channel"}"#,
            |o| matches!(o, Outcome::Refused { why } if why.contains("invite")),
        ),
        (r#"{"ok":false,"error":"<secret>"}"#, |o| matches!(o, Outcome::Refused { why } if !why.contains("secret"))),
        (r#"{"ok":false,"error":"ratelimited"}"#, |o| matches!(o, Outcome::Retry { .. })),
        (r#"{"ok":true,"ts":"<!channel>"}"#, |o| *o == Outcome::Delivered { receipt: None }),
        (r#"{"ok":tr"#, |o| matches!(o, Outcome::Unknown { .. })),
        ("[]", |o| matches!(o, Outcome::Unknown { .. })),
    ];
    for (body, expected) in answers {
        let server = Server::start(say(body)).await;
        let outcome = deliver(&client, &bot(&server), &notice(Reason::Opened), now()).await;
        assert!(expected(&outcome), "{body}: {outcome:?}");
    }
    let cut = Server::start(Behaviour::Say("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"ok\":true".into())).await;
    let outcome = deliver(&client, &bot(&cut), &notice(Reason::Opened), now()).await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    assert!(!outcome.may_repeat(&bot(&cut)), "a message that may have been posted is not posted again");
}

#[tokio::test]
async fn of_a_cluster_one_that_takes_it_is_enough() {
    let good = Server::start(Behaviour::Say("HTTP/1.1 200 OK\r\n\r\n".into())).await;
    let bad = Server::start(Behaviour::Say("HTTP/1.1 503 X\r\n\r\n".into())).await;
    let client = egress(&["127.0.0.0/8"]);
    let cluster = channel(json!({"kind": "alertmanager", "urls": [bad.url(""), good.url("/")]}), "");
    let outcome = deliver(&client, &cluster, &notice(Reason::Opened), now()).await;
    assert!(matches!(outcome, Outcome::Delivered { receipt: Some(_) }), "{outcome:?}");
    assert_eq!((good.requests.lock().len(), bad.requests.lock().len()), (1, 1));
    assert!(good.requests.lock()[0].starts_with("POST /api/v2/alerts HTTP/1.1"));
    let alone = channel(json!({"kind": "alertmanager", "urls": [bad.url("")]}), "");
    let outcome = deliver(&client, &alone, &notice(Reason::Opened), Time(0)).await;
    assert!(matches!(outcome, Outcome::Retry { .. }) && outcome.may_repeat(&alone), "{outcome:?}");
}
