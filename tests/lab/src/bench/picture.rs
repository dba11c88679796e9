//! The bench's pictures, as SVG.

use plotters::prelude::*;

use super::pause::{PARTS, Pause};
use super::{LUNS, Report};
use crate::error::{Error, Result};

/// The contenders that are drawn, each with its colour.
const LINES: [(&str, RGBColor); 4] = [
    ("limit", RGBColor(0x88, 0x88, 0x88)),
    ("understudy", RGBColor(0x00, 0x72, 0xb2)),
    ("rtslib", RGBColor(0xe6, 0x9f, 0x00)),
    ("iscsi-agents", RGBColor(0xd5, 0x5e, 0x00)),
];

/// A colour for each part of a pause.
const COLOURS: [RGBColor; PARTS.len()] = [
    RGBColor(0xe6, 0xe6, 0xe6),
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0x99, 0x99, 0x99),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0xcc, 0xcc, 0xcc),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xe6, 0x9f, 0x00),
];

/// Returns the picture of times against numbers of LUNs, as SVG. Both axes are
/// logarithmic: a time that grows in proportion to the LUNs is a straight line.
///
/// # Errors
/// There is nothing to draw.
pub fn draw(report: &Report) -> Result<String> {
    let mut text = String::new();
    lines(report, &mut text).map_err(|e| Error::other(format!("scale.svg: {e}")))?;
    Ok(text)
}

/// The result of drawing. plotters has an error type for each kind of paper.
type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;

fn lines(report: &Report, text: &mut String) -> Drawn {
    let all = LINES.iter().flat_map(|(name, _)| points(report, name));
    let (least, most) = all.fold((f64::MAX, 0.0_f64), |(least, most), (_, seconds)| {
        (least.min(seconds), most.max(seconds))
    });
    let root = SVGBackend::with_string(text, (760, 480)).into_drawing_area();
    root.fill(&WHITE)?;
    let largest = LUNS.last().copied().unwrap_or(1) as f64;
    let mut chart = ChartBuilder::on(&root)
        .caption("Start and stop of a group", ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(60)
        .build_cartesian_2d(
            (0.9..largest * 1.1).log_scale().base(2.0),
            (least * 0.7..most * 1.4).log_scale(),
        )?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("LUNs")
        .y_desc("seconds")
        .x_label_formatter(&|luns| format!("{luns:.0}"))
        .y_label_formatter(&|seconds| format!("{seconds}"))
        .draw()?;
    for (name, colour) in LINES {
        let line = LineSeries::new(points(report, name), colour.stroke_width(2));
        chart.draw_series(line.point_size(3))?.label(name).legend(move |(x, y)| {
            PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2))
        });
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(RGBColor(0xcc, 0xcc, 0xcc))
        .draw()?;
    root.present()?;
    Ok(())
}

fn points(report: &Report, contender: &str) -> Vec<(f64, f64)> {
    let point = |luns| Some((luns as f64, report.both(contender, luns)? / 1000.0));
    LUNS.into_iter().filter_map(point).collect()
}

/// Returns the picture of pauses, each as a bar of its parts, as SVG.
///
/// # Errors
/// The picture cannot be drawn.
pub fn stack(pauses: &[Pause]) -> Result<String> {
    let mut text = String::new();
    bars(pauses, &mut text).map_err(|e| Error::other(format!("pause.svg: {e}")))?;
    Ok(text)
}

fn bars(pauses: &[Pause], text: &mut String) -> Drawn {
    let longest = pauses.iter().map(|pause| pause.pause_ms).max().unwrap_or(0);
    let height = 110 + 36 * u32::try_from(pauses.len())?;
    let root = SVGBackend::with_string(text, (760, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let count = i32::try_from(pauses.len())?;
    let mut chart = ChartBuilder::on(&root)
        .caption("What an initiator waits for", ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(120)
        .build_cartesian_2d(
            0.0..(longest as f64 / 1000.0 * 1.25).max(0.1),
            (0..count).into_segmented(),
        )?;
    // The first at the top.
    let named = |place: i32| pauses.get(usize::try_from(count - 1 - place).ok()?);
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("seconds")
        .y_label_formatter(&|place| match place {
            SegmentValue::CenterOf(place) => named(*place)
                .map_or_else(String::new, |p| format!("{}, {} LUNs", p.what, p.luns)),
            _ => String::new(),
        })
        .draw()?;
    for (part, colour) in PARTS.into_iter().zip(COLOURS) {
        let bar = |(place, pause): (i32, &Pause)| {
            let mut before = 0;
            for its in &pause.parts {
                if its.part == part {
                    let x = |ms: u64| ms as f64 / 1000.0;
                    let (from, to) = (x(before), x(before + its.ms));
                    let (below, above) =
                        (SegmentValue::Exact(place), SegmentValue::Exact(place + 1));
                    let mut bar =
                        Rectangle::new([(from, below), (to, above)], colour.filled());
                    bar.set_margin(6, 6, 0, 0);
                    return Some(bar);
                }
                before += its.ms;
            }
            None
        };
        let places = (0..count).rev().zip(pauses);
        chart.draw_series(places.filter_map(bar))?.label(part).legend(move |(x, y)| {
            Rectangle::new([(x, y - 5), (x + 12, y + 5)], colour.filled())
        });
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE)
        .border_style(RGBColor(0xcc, 0xcc, 0xcc))
        .draw()?;
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Row;

    #[test]
    fn each_contender_has_its_line() {
        let mut report = Report::default();
        for (contender, _) in LINES {
            for (luns, action) in LUNS.iter().flat_map(|l| [(*l, "start"), (*l, "stop")])
            {
                let median_ms = luns as f64 * 10.0;
                report.rows.push(Row {
                    contender,
                    luns,
                    action,
                    median_ms,
                    min_ms: median_ms,
                    max_ms: median_ms,
                    cpu_ms: median_ms,
                    processes: 2,
                    peak_kib: 1,
                    rounds: 5,
                });
            }
        }
        let picture = draw(&report).unwrap();
        for (name, _) in LINES {
            assert!(picture.contains(name), "{name}");
        }
    }

    #[test]
    fn each_pause_has_its_bar() {
        let part = |part| crate::bench::pause::Part { part, ms: 500 };
        let pause = |what, luns| Pause {
            what,
            luns,
            pause_ms: 3500,
            all_ms: vec![3500],
            parts: PARTS.map(part).to_vec(),
            agent: Vec::new(),
        };
        let picture = stack(&[pause("move", 4), pause("power-cut", 256)]).unwrap();
        for text in PARTS.into_iter().chain(["move, 4 LUNs", "power-cut, 256 LUNs"]) {
            assert!(picture.contains(text), "{text}");
        }
    }
}
