//! Lines that nobody wrote for people, through the miner and the analyses of logs: memory stays bounded and nothing
//! panics. Values and sessions without a past are not said.

use std::sync::Arc;

use bellwether_analyze::{catalog, checks};
use math::templates::Miner;
use types::{Batch, Directory, EntityId, LabelSet, ResourceDef, SECOND, TemplateDef, TemplateId, Tenant, Time};

/// Lines a second, each with its template from the miner; all of one service.
fn world(seconds: i64, lines: impl Fn(i64) -> Vec<String>) -> (checks::World, Miner) {
    let (directory, mut miner) = (Arc::new(Directory::default()), Miner::default());
    let start = Time(1_750_000_000 * SECOND);
    let (entity, resource) = {
        let mut registry = directory.write();
        let entity = registry.entity(&EntityId::new("service", "t", "a"));
        let attributes = LabelSet::pack(&mut vec![("service.name", "a")]);
        (entity, registry.resource(ResourceDef { tenant: Tenant::default(), entity, attributes }))
    };
    let second = |s: i64| {
        let mut batch = Batch { learned: start.plus((s + 1) * SECOND), ..Batch::default() };
        for (i, line) in lines(s).into_iter().enumerate() {
            let rows = &mut batch.records;
            rows.time.push(start.plus(s * SECOND).0);
            rows.entity.push(entity);
            rows.resource.push(resource);
            rows.severity.push(if i % 100 == 0 { 17 } else { 9 });
            rows.template.push(TemplateId(miner.assign(&line).id));
            rows.body.push(&line);
            rows.attributes.push("");
            rows.trace_id.push([0; 16]);
            rows.span_id.push([0; 8]);
        }
        Some(Arc::new(batch))
    };
    let batches = (0..seconds).map(second).collect();
    let mut registry = directory.write();
    for id in miner.take_changes() {
        registry.template(TemplateDef { id: TemplateId(id), text: miner.text(id).into() });
    }
    drop(registry);
    (checks::World { directory, seconds: batches, start }, miner)
}

/// Runs the analyses of logs with restarts; gives how many findings each said.
fn said(world: &checks::World) -> Vec<usize> {
    let of_logs = catalog::ALL.iter().filter(|analysis| analysis.name.starts_with("log"));
    of_logs.map(|analysis| checks::run(analysis, world, world.seconds.len(), Some(13)).concat().len()).collect()
}

fn word(i: i64) -> String {
    let spread = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
    (0..6).map(|k| char::from(b'a' + (spread >> (k * 5) & 15) as u8)).collect()
}

#[test]
fn unique_words_everywhere_end_in_few_templates() {
    let line = |i: i64| format!("said {} {} {} {}", word(i), word(i + 70_000), word(i + 140_000), word(i + 210_000));
    let (world, miner) = world(60, |s| (s * 500..s * 500 + 500).map(line).collect());
    assert!(miner.len() < 2000, "{}", miner.len());
    assert_eq!(said(&world)[1..], [0, 0]);
}

#[test]
fn lines_that_all_begin_otherwise_end_at_the_limit() {
    let line = |i: i64| format!("{} {} {}", word(i), word(i + 1), word(i + 2));
    let (world, mut miner) = world(60, |s| (s * 2000..s * 2000 + 2000).map(line).collect());
    assert_eq!(miner.len(), 50_000);
    assert_eq!(miner.assign("wholly other words").id, 0, "there is no room");
    assert_eq!(miner.assign(&line(0)).id, 1, "what is known stays known");
    assert_eq!(said(&world)[1..], [0, 0]);
}

#[test]
fn megabytes_binary_and_nothing_are_lines_too() {
    let binary: String = (0..5000_u32).filter_map(|i| char::from_u32(i * 37 % 0x3000)).collect();
    let broken = String::from_utf8_lossy(&[0xff, 0xfe, b'a', 0x80, 0xc3]).into_owned();
    let odd = [
        "x".repeat(1 << 20),
        "key=<*> ".repeat(1 << 17),
        "7 ".repeat(1 << 19),
        "{".repeat(1 << 20),
        format!("{{\"msg\":\"{}\"}}", "y ".repeat(1 << 19)),
        binary,
        broken,
        String::new(),
        " \t\r\n".into(),
        "\n\n\n".into(),
        "<*>".into(),
        "<*> <*><*>".into(),
        "a\u{202e}b \u{0} took 1e999 ms, nan%, -0".into(),
    ];
    let (world, miner) = world(40, |_| odd.to_vec());
    assert!(miner.len() <= 10, "{}", miner.len());
    assert_eq!(said(&world)[1..], [0, 0]);
}
