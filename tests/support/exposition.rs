//! Prometheus' text format, read as strictly as it is specified.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};

/// The labels of one sample.
pub type Labels = BTreeMap<String, String>;

/// A metric with its samples.
#[derive(Debug, Default)]
pub struct Family {
    pub help: String,
    pub kind: String,
    /// The names of the samples, their labels and their values.
    pub samples: Vec<(String, Labels, f64)>,
}

/// All families of a page by their names. Panics where the page is not in the format.
pub fn parse(page: &str) -> BTreeMap<String, Family> {
    assert!(page.ends_with('\n'), "the last line ends");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in page.lines() {
        if let Some(told) = line.strip_prefix("# HELP ") {
            let (name, help) = told.split_once(' ').expect("a help text");
            let family = Family { help: help.to_owned(), ..Family::default() };
            assert!(families.insert(name.to_owned(), family).is_none(), "{name} comes twice");
            name.clone_into(&mut current);
            continue;
        }
        let family = families.get_mut(&current).expect("HELP comes first");
        if let Some(told) = line.strip_prefix("# TYPE ") {
            let (name, kind) = told.split_once(' ').expect("a type");
            assert_eq!((name, family.kind.as_str()), (current.as_str(), ""), "{line}");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            kind.clone_into(&mut family.kind);
            continue;
        }
        assert!(!family.kind.is_empty() && !line.starts_with('#'), "{line}");
        family.samples.push(sample(line));
    }
    families.iter().for_each(|(name, family)| check(name, family));
    families
}

/// `name{label="value",…} number`; no value in convo has a quote or a brace that would need more.
fn sample(line: &str) -> (String, Labels, f64) {
    let (series, value) = line.rsplit_once(' ').expect("a value");
    let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
    let (name, labels) = match series.split_once('{') {
        None => (series, ""),
        Some((name, labels)) => (name, labels.strip_suffix('}').expect("closed labels")),
    };
    let labels = labels.split_terminator("\",").filter(|pair| !pair.is_empty()).map(|pair| {
        let (label, value) = pair.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
        (label.to_owned(), value.trim_end_matches('"').to_owned())
    });
    (name.to_owned(), labels.collect(), value)
}

fn check(name: &str, family: &Family) {
    let fits = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    assert!(fits(name) && !family.samples.is_empty() && !family.help.is_empty(), "{name}");
    assert_eq!(family.kind == "counter", name.ends_with("_total"), "{name}");
    let mut seen = BTreeSet::new();
    for (sample, labels, value) in &family.samples {
        assert!(seen.insert((sample, labels)), "{sample} {labels:?} comes twice");
        assert!(labels.keys().all(|label| fits(label)), "{labels:?}");
        if family.kind != "histogram" {
            assert_eq!(sample, name);
        }
        assert!(family.kind == "gauge" || *value >= 0.0, "{sample} {value}");
    }
    if family.kind == "histogram" {
        check_histogram(name, family);
    }
}

/// The buckets of each series rise, and the last of them is the count.
fn check_histogram(name: &str, family: &Family) {
    let mut series: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    let (mut counts, mut sums) = (BTreeMap::new(), BTreeSet::new());
    for (sample, labels, value) in &family.samples {
        let mut labels = labels.clone();
        match sample.strip_prefix(name) {
            Some("_bucket") => {
                let bound = labels.remove("le").expect("a bound").parse().expect("a number");
                series.entry(labels).or_default().push((bound, *value));
            }
            Some("_count") => drop(counts.insert(labels, *value)),
            Some("_sum") => drop(sums.insert(labels)),
            _ => panic!("{sample} in {name}"),
        }
    }
    for (labels, buckets) in series {
        assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{name}: {buckets:?}");
        let last = buckets.last().expect("a bucket");
        assert_eq!((last.0, Some(&last.1)), (f64::INFINITY, counts.get(&labels)), "{name}");
        assert!(sums.contains(&labels), "{name} {labels:?}");
    }
    assert!(!counts.is_empty(), "{name}");
}

/// The sum of a family's samples that have these labels.
pub fn value(families: &BTreeMap<String, Family>, name: &str, labels: &[(&str, &str)]) -> f64 {
    let family = families.get(name).unwrap_or_else(|| panic!("no {name}"));
    let has = |sample: &Labels| {
        labels.iter().all(|(label, value)| sample.get(*label).map(String::as_str) == Some(*value))
    };
    family.samples.iter().filter(|(_, labels, _)| has(labels)).map(|(.., value)| value).sum()
}
