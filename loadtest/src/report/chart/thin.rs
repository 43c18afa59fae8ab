//! Thinning: a line of any length becomes one that has no more points than can be seen.

/// Columns of a plot that are distinguished. A plot is at most some 700 pixels wide, and a line has two points in each.
const COLUMNS: usize = 480;

/// A point of a line. Without a `y` there is a gap.
pub(crate) type Point = (f64, Option<f64>);

/// Keeps the lowest and the highest point of each column, so that no spike is lost; a column without any is a gap.
///
/// Points have places, 0 to 1, and must be in the order of their `x`. Short lines stay as they are.
pub(super) fn thin(points: Vec<Point>) -> Vec<Point> {
    if points.len() <= 2 * COLUMNS {
        return points;
    }
    let column = |point: &Point| (point.0 * COLUMNS as f64).floor();
    let mut thinned = Vec::with_capacity(2 * COLUMNS);
    for column in points.chunk_by(|a, b| column(a) >= column(b)) {
        let values = || column.iter().filter_map(|(x, y)| y.map(|y| (*x, y)));
        let low = values().min_by(|a, b| a.1.total_cmp(&b.1));
        let high = values().max_by(|a, b| a.1.total_cmp(&b.1));
        match low.zip(high) {
            None => thinned.push((column[0].0, None)),
            Some((low, high)) => {
                let (before, after) = if low.0 <= high.0 { (low, high) } else { (high, low) };
                thinned.push((before.0, Some(before.1)));
                if before.0 < after.0 {
                    thinned.push((after.0, Some(after.1)));
                }
            }
        }
    }
    thinned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(len: u32, value: impl Fn(u32) -> Option<f64>) -> Vec<Point> {
        (0..len).map(|at| (f64::from(at) / f64::from(len), value(at))).collect()
    }

    /// A soak is run to find one bad second in ten hours.
    #[test]
    fn long_line_gets_short_and_keeps_its_spikes() {
        let spike = |at| if at == 20_123 { 0.9 } else { f64::from(at % 7) / 10.0 };
        let thinned = thin(line(36_000, |at| Some(spike(at))));
        assert!(thinned.len() <= 2 * COLUMNS, "{}", thinned.len());
        assert!(thinned.iter().any(|(_, y)| *y == Some(0.9)));
        assert!(thinned.is_sorted_by(|a, b| a.0 <= b.0));
    }

    #[test]
    fn gap_stays_a_gap() {
        let thinned = thin(line(10_000, |at| (!(4_000..6_000).contains(&at)).then_some(0.5)));
        let gaps = thinned.into_iter().filter(|(_, y)| y.is_none()).count();
        assert!((90..=100).contains(&gaps), "{gaps}");
    }

    #[test]
    fn short_line_stays_as_it_is() {
        let points = vec![(0.0, Some(1.0)), (0.0, None), (0.0, Some(0.3))];
        assert_eq!(thin(points.clone()), points);
        assert!(thin(Vec::new()).is_empty());
        assert_eq!(thin(vec![(1.0, Some(1.0)); 5_000]).len(), 1, "one place, one point");
    }
}
