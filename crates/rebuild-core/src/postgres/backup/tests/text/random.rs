//! Values that nobody chose, thousands in one table.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use crate::postgres::rows::scan::BINARY_TRAILER;

const ROWS: usize = 4000;

fn sample<T: std::fmt::Debug>(runner: &mut TestRunner, of: impl Strategy<Value = T>) -> T {
    of.new_tree(runner).expect("a value").current()
}

fn field(value: &[u8], out: &mut Vec<u8>) {
    out.extend(i32::try_from(value.len()).expect("short").to_be_bytes());
    out.extend_from_slice(value);
}

/// As text, all that are no numbers are the same.
fn one_nan<F: Copy>(number: F, is_nan: impl Fn(F) -> bool, nan: F) -> F {
    if is_nan(number) { nan } else { number }
}

/// Half way between two numbers, at a power of two or of ten, with few digits, or any at all.
fn doubles() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(|bits| one_nan(f64::from_bits(bits), f64::is_nan, f64::NAN)),
        (-1074..1024).prop_map(|power| 2_f64.powi(power)),
        (-330..310).prop_map(|power| format!("1e{power}").parse().expect("a number")),
        (1_u64..1 << 53, 0..80).prop_map(|(whole, power)| whole as f64 * 2_f64.powi(power)),
        (1_u64..1_000_000, -30..30_i32)
            .prop_map(|(digits, power)| format!("{digits}e{power}").parse().expect("a number")),
        (1_u64..1 << 53, 0..9).prop_map(|(whole, power)| whole as f64 / 2_f64.powi(power)),
        (0_u64..1 << 20, 44..60).prop_map(|(more, power)| 2_f64.powi(power) + more as f64 / 16.0),
        (0_u64..1 << 14).prop_map(|more| 1e15 - more as f64 / 8.0),
    ]
}

fn singles() -> impl Strategy<Value = f32> {
    prop_oneof![
        any::<u32>().prop_map(|bits| one_nan(f32::from_bits(bits), f32::is_nan, f32::NAN)),
        (-149..128).prop_map(|power| 2_f32.powi(power)),
        (-46..39).prop_map(|power| format!("1e{power}").parse().expect("a number")),
        (1_u16..u16::MAX, 0..100).prop_map(|(whole, power)| f32::from(whole) * 2_f32.powi(power)),
        (1_u32..1_000_000, -20..20_i32)
            .prop_map(|(digits, power)| format!("{digits}e{power}").parse().expect("a number")),
        (1_u16..u16::MAX, 8..24_i32, 0..8)
            .prop_map(|(more, power, part)| 2_f32.powi(power) + f32::from(more) / 2_f32.powi(part)),
    ]
}

#[tokio::test]
async fn any_number_is_written_as_the_server_writes_it() {
    let world = World::empty().await;
    let session = reader(&world).await;
    let make = "create table t (d float8, s float4, i int8, m money, ds float8[])";
    session.batch_execute(make).await.expect("made");
    let runner = &mut TestRunner::default();
    let mut stream = BINARY_HEADER.to_vec();
    for _ in 0..ROWS * 5 {
        let double = sample(runner, doubles());
        stream.extend(5_i16.to_be_bytes());
        field(&double.to_be_bytes(), &mut stream);
        field(&sample(runner, singles()).to_be_bytes(), &mut stream);
        let whole: i64 = sample(runner, any::<i64>());
        let shift: u32 = sample(runner, 0..64_u32);
        field(&whole.to_be_bytes(), &mut stream);
        field(&(whole >> shift).to_be_bytes(), &mut stream);
        let head = [1_i32, 0, 701, 1, 1].map(i32::to_be_bytes).concat();
        let mut array = head;
        let minus = one_nan(-double, f64::is_nan, f64::NAN);
        field(&minus.to_be_bytes(), &mut array);
        field(&array, &mut stream);
    }
    stream.extend(BINARY_TRAILER);
    copy_in(&session, "copy t from stdin with (format binary)", stream).await;
    assert_as_the_server(&session, "t").await;
    assert_comes_back(&session, "t").await;
}

/// A numeric as it is sent.
fn numeric(digits: &[i16], weight: i16, negative: bool, shown: u16) -> Vec<u8> {
    let count = i16::try_from(digits.len()).expect("few");
    let sign: u16 = if negative { 0x4000 } else { 0 };
    let mut value = [count.to_be_bytes(), weight.to_be_bytes()].concat();
    value.extend(sign.to_be_bytes());
    value.extend(shown.to_be_bytes());
    value.extend(digits.iter().flat_map(|d| d.to_be_bytes()));
    value
}

#[tokio::test]
async fn any_moment_address_and_decimal_is_written_as_the_server_writes_it() {
    let world = World::empty().await;
    let session = reader(&world).await;
    let make = "create table t (n numeric, d date, ts timestamp, tz timestamptz, tt timetz,
        i interval, ip inet, m macaddr8, u uuid, b varbit, x bytea)";
    session.batch_execute(make).await.expect("made");
    let runner = &mut TestRunner::default();
    let mut stream = BINARY_HEADER.to_vec();
    for _ in 0..ROWS {
        stream.extend(11_i16.to_be_bytes());
        let digit = prop_oneof![Just(0_i16), Just(1), Just(9999), 0..10_000_i16];
        let digits = sample(runner, prop::collection::vec(digit, 0..8));
        let value = numeric(
            &digits,
            sample(runner, -9..9_i16),
            sample(runner, any::<bool>()),
            sample(runner, 0..40_u16),
        );
        field(&value, &mut stream);
        field(
            &sample(runner, -2_451_545..2_145_031_948_i32).to_be_bytes(),
            &mut stream,
        );
        for _ in 0..2 {
            let near = -63_113_904_000_000_000..900_000_000_000_000_000_i64;
            let moment = prop_oneof![
                -211_813_488_000_000_000..9_223_371_331_199_999_999_i64,
                near
            ];
            field(&sample(runner, moment).to_be_bytes(), &mut stream);
        }
        let mut timetz = sample(runner, 0..=86_400_000_000_i64)
            .to_be_bytes()
            .to_vec();
        timetz.extend(sample(runner, -57_599..=57_599_i32).to_be_bytes());
        field(&timetz, &mut stream);
        let part = prop_oneof![Just(0_i32), -30..30_i32, -100_000_000..100_000_000_i32];
        // Servers before 15 write no more hours than this.
        let hours = -7_000_000_000_000_000_000..7_000_000_000_000_000_000_i64;
        let time = prop_oneof![Just(0_i64), -90_000_000..90_000_000_i64, hours];
        let mut interval = sample(runner, time).to_be_bytes().to_vec();
        interval.extend(sample(runner, part.clone()).to_be_bytes());
        interval.extend(sample(runner, part).to_be_bytes());
        field(&interval, &mut stream);
        field(&address(runner), &mut stream);
        field(&sample(runner, any::<[u8; 8]>()), &mut stream);
        field(&sample(runner, any::<[u8; 16]>()), &mut stream);
        field(&bits(runner), &mut stream);
        field(
            &sample(runner, prop::collection::vec(any::<u8>(), 0..20)),
            &mut stream,
        );
    }
    stream.extend(BINARY_TRAILER);
    copy_in(&session, "copy t from stdin with (format binary)", stream).await;
    assert_as_the_server(&session, "t").await;
    assert_comes_back(&session, "t").await;
}

fn address(runner: &mut TestRunner) -> Vec<u8> {
    if sample(runner, any::<bool>()) {
        let mut value = vec![2, sample(runner, 0..=32_u8), 0, 4];
        value.extend(sample(runner, any::<[u8; 4]>()));
        return value;
    }
    let word = prop_oneof![4 => Just(0_u16), 1 => Just(0xffff), 1 => Just(1), 2 => any::<u16>()];
    let words = sample(runner, prop::collection::vec(word, 8));
    let mut value = vec![3, sample(runner, 0..=128_u8), 0, 16];
    value.extend(words.iter().flat_map(|word| word.to_be_bytes()));
    value
}

/// What is left of the last byte is not looked at, so it is zero.
fn bits(runner: &mut TestRunner) -> Vec<u8> {
    let count = sample(runner, 0..70_usize);
    let mut bytes = vec![0_u8; count.div_ceil(8)];
    for place in 0..count {
        if sample(runner, any::<bool>()) {
            bytes[place / 8] |= 0x80 >> (place % 8);
        }
    }
    let mut value = i32::try_from(count).expect("few").to_be_bytes().to_vec();
    value.extend(bytes);
    value
}
