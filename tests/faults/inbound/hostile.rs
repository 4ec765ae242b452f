//! Signed bodies of every wrong shape, on a real database of each kind: each is accepted or refused,
//! none causes an internal error, and what was accepted is counted right.
//!
//! The bodies are the published examples with random damage, from a fixed seed. A thousand by
//! default; `CONVO_TEST_LONG=N` makes it N thousand.

use convo::error::Code;
use serde_json::{Value, json};

use crate::on_both_databases;
use crate::support::{TestDatabase, assert_counted, example, examples, open, times_longer};

/// A small generator of pseudorandom numbers: the same bodies on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).expect("small")
    }
}

fn hostile_value(dice: &mut Dice) -> Value {
    match dice.roll(14) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(-1),
        3 => json!(u64::MAX),
        4 => json!(1e308),
        5 => json!(""),
        6 => json!("a\u{0}b"),
        7 => json!("x".repeat(70_000)),
        8 => json!("\u{1b}]52;c;AAAA\u{7}\u{202e}"),
        9 => json!([]),
        10 => json!({}),
        11 => json!([[[[[[{"phone_number": "+1"}]]]]]]),
        12 => json!("9999-12-31T23:59:60.999999999Z"),
        _ => json!("+1234567890123456789012345"),
    }
}

/// Replaces, removes or duplicates one value somewhere in the tree.
fn damage_tree(value: &mut Value, dice: &mut Dice) {
    match value {
        Value::Object(map) if !map.is_empty() && dice.roll(6) > 0 => {
            let place = dice.roll(map.len());
            let Some(key) = map.keys().nth(place).cloned() else { return };
            match dice.roll(5) {
                0 => drop(map.remove(&key)),
                1 => drop(map.insert(key, hostile_value(dice))),
                _ => damage_tree(&mut map[&key], dice),
            }
        }
        Value::Array(list) if !list.is_empty() && dice.roll(3) > 0 => {
            let place = dice.roll(list.len());
            let copy = list[place].clone();
            if dice.roll(2) == 0 { list.push(copy) } else { damage_tree(&mut list[place], dice) }
        }
        other => *other = hostile_value(dice),
    }
}

fn damage_bytes(raw: &mut Vec<u8>, dice: &mut Dice) {
    let place = dice.roll(raw.len());
    match dice.roll(5) {
        0 => raw[place] = u8::try_from(dice.roll(256)).expect("a byte"),
        1 => raw.truncate(place),
        2 => drop(raw.splice(place..place, *b"\\ud800")),
        3 => drop(raw.splice(place..place, *b"\\u0000")),
        _ => drop(raw.drain(place..(place + dice.roll(40)).min(raw.len()))),
    }
}

fn body(examples: &[Vec<u8>], n: usize, dice: &mut Dice) -> Vec<u8> {
    let raw = &examples[dice.roll(examples.len())];
    let mut tree: Value = serde_json::from_slice(raw).expect("an example is JSON");
    if dice.roll(4) > 0 {
        // A new event about a new message, or else almost everything would be a duplicate.
        tree["data"]["id"] = json!(format!("e-{n}"));
        tree["data"]["payload"]["id"] = json!(format!("m-{n}"));
    }
    for _ in 0..dice.roll(4) {
        damage_tree(&mut tree, dice);
    }
    let mut raw = tree.to_string().into_bytes();
    if dice.roll(3) == 0 {
        damage_bytes(&mut raw, dice);
    }
    raw
}

async fn damaged_bodies_are_accepted_or_refused_and_never_fail(db: TestDatabase) {
    let conversations = open(&db.url).await;
    let mut names = examples();
    names.sort();
    let examples: Vec<_> = names.iter().map(|name| example(name)).collect();
    let (bodies, mut dice) = (1_000 * times_longer(), Dice(0x9E37_79B9_7F4A_7C15));
    let (mut accepted, mut n) = (0, 0);
    while n < bodies {
        // Several at a time, so that bad ones share their transaction with good ones.
        let round: Vec<_> = (n..n + 20).map(|n| body(&examples, n, &mut dice)).collect();
        n += round.len();
        let waiting = round.iter().map(|raw| conversations.receive(raw.clone().into()));
        for (raw, received) in round.iter().zip(futures_util::future::join_all(waiting).await) {
            match received {
                Ok(_) => accepted += 1,
                Err(error) => assert_eq!(
                    error.code(),
                    Code::InvalidRequest,
                    "{error}: {}",
                    String::from_utf8_lossy(raw)
                ),
            }
        }
    }
    assert!(accepted > bodies / 3, "many bodies are still accepted: {accepted}");
    assert_counted(&conversations).await;
}

on_both_databases!(damaged_bodies_are_accepted_or_refused_and_never_fail);
