// SPDX-License-Identifier: Apache-2.0
// Rust: closures, iterators, formatting, panics that are caught, a thread.
use std::collections::HashMap;
use std::hint::black_box;

#[inline(never)]
fn words() -> usize {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for i in 0..200usize {
        *counts.entry(format!("{}", i * 7919 % 101)).or_insert(0) += 1;
    }
    counts.values().sum()
}

#[inline(never)]
fn recurse(n: u64) -> u64 {
    if n == 0 { black_box(words() as u64) } else { black_box(recurse(n - 1)) + 1 }
}

#[inline(never)]
fn sorted() -> usize {
    let mut v: Vec<String> = (0..100).map(|i| (i * 31 % 97).to_string()).collect();
    v.sort_by(|a, b| b.cmp(a));
    v[3].len()
}

fn work() {
    loop {
        black_box(recurse(10));
        black_box(sorted());
        let r = std::panic::catch_unwind(|| {
            if black_box(true) {
                std::panic::resume_unwind(Box::new(1u8));
            }
        });
        black_box(r.is_err());
    }
}

fn main() {
    std::thread::spawn(work);
    work();
}
