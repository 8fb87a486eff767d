// SPDX-License-Identifier: Apache-2.0
// Known stacks through closures, sorting, a panic that is caught, recursion and a thread.
use std::hint::black_box;
use std::time::{Duration, Instant};

#[inline(never)]
fn leaf(n: u64) -> u64 {
    let mut sum = 0;
    for i in 0..n {
        sum += black_box(i);
    }
    sum
}

#[inline(never)]
fn descend(n: u64) -> u64 {
    if n == 0 { black_box(leaf(20000)) } else { black_box(descend(n - 1)) + 1 }
}

#[inline(never)]
fn in_order(a: &u64, b: &u64) -> std::cmp::Ordering {
    black_box(leaf(10));
    b.cmp(a)
}

#[inline(never)]
fn sorted() -> u64 {
    let mut v: Vec<u64> = (0..100).map(|i| i * 31 % 97).collect();
    v.sort_by(in_order);
    v[3]
}

#[inline(never)]
fn thrower(n: u64) -> u64 {
    black_box(leaf(100));
    if black_box(n) == 0 {
        std::panic::resume_unwind(Box::new(1u8));
    }
    black_box(thrower(n - 1)) + 1
}

#[inline(never)]
fn work(end: Instant) {
    while Instant::now() < end {
        for _ in 0..16 {
            black_box(descend(40));
            black_box(sorted());
            black_box(std::panic::catch_unwind(|| thrower(5)).is_err());
        }
    }
}

fn main() {
    let ms = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(300u64);
    let end = Instant::now() + Duration::from_millis(ms);
    let other = std::thread::spawn(move || work(end));
    work(end);
    other.join().unwrap();
}
