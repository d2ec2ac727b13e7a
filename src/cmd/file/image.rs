//! Pictures, with their sizes.

use super::What;
use super::sample::Sample;

/// What a picture is.
pub fn look(sample: &Sample) -> Option<What> {
    let (name, mime, size) = png(sample)
        .or_else(|| gif(sample))
        .or_else(|| jpeg(sample))
        .or_else(|| webp(sample))
        .or_else(|| bmp(sample))
        .or_else(|| ico(sample))?;
    let mut text = name.to_owned();
    let mut what = What::binary("", mime);
    if let Some((width, height)) = size {
        text.push_str(&format!(", {width} x {height}"));
        what.detail("width", width);
        what.detail("height", height);
    }
    what.description = text;
    Some(what)
}

type Picture = (&'static str, &'static str, Option<(u32, u32)>);

fn png(sample: &Sample) -> Option<Picture> {
    let size = || Some((sample.u32_be(16)?, sample.u32_be(20)?));
    sample.has(0, b"\x89PNG\r\n\x1a\n").then(|| ("PNG image data", "image/png", size()))
}

fn gif(sample: &Sample) -> Option<Picture> {
    let size = || Some((sample.u16_le(6)?.into(), sample.u16_le(8)?.into()));
    let is_gif = sample.has(0, b"GIF87a") || sample.has(0, b"GIF89a");
    is_gif.then(|| ("GIF image data", "image/gif", size()))
}

/// ITU T.81: segments up to the frame's header, which has the size.
fn jpeg(sample: &Sample) -> Option<Picture> {
    if !sample.has(0, b"\xff\xd8\xff") {
        return None;
    }
    let mut at = 2_usize;
    let mut size = None;
    while sample.has(at, b"\xff") {
        let Some(marker) = sample.head.get(at + 1) else { break };
        if matches!(marker, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf) {
            size = sample.u16_be(at + 7).zip(sample.u16_be(at + 5)).map(|(w, h)| (w.into(), h.into()));
            break;
        }
        let Some(length) = sample.u16_be(at + 2) else { break };
        at += 2 + usize::from(length);
    }
    Some(("JPEG image data", "image/jpeg", size))
}

fn webp(sample: &Sample) -> Option<Picture> {
    if !(sample.has(0, b"RIFF") && sample.has(8, b"WEBP")) {
        return None;
    }
    let size = if sample.has(12, b"VP8 ") {
        sample.u16_le(26).zip(sample.u16_le(28)).map(|(w, h)| (u32::from(w & 0x3fff), u32::from(h & 0x3fff)))
    } else if sample.has(12, b"VP8L") {
        sample.u32_le(21).map(|bits| ((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
    } else {
        let number = |at: usize| sample.u32_le(at).map(|bits| (bits & 0xff_ffff) + 1);
        number(24).zip(number(27))
    };
    Some(("WebP image", "image/webp", size))
}

fn bmp(sample: &Sample) -> Option<Picture> {
    // The size of the second header tells it from a text that begins with BM.
    let is_bmp =
        sample.has(0, b"BM") && matches!(sample.u32_le(14), Some(12 | 40 | 52 | 56 | 64 | 108 | 124));
    let size = || Some((sample.u32_le(18)?, (sample.u32_le(22)? as i32).unsigned_abs()));
    is_bmp.then(|| ("PC bitmap", "image/bmp", if sample.u32_le(14) == Some(12) { None } else { size() }))
}

fn ico(sample: &Sample) -> Option<Picture> {
    let has_entry =
        sample.head.get(9) == Some(&0) && sample.u16_le(4).is_some_and(|count| (1..100).contains(&count));
    if !(sample.has(0, b"\0\0\x01\0") && has_entry) {
        return None;
    }
    let side = |at: usize| sample.head.get(at).map(|side| if *side == 0 { 256 } else { u32::from(*side) });
    Some(("MS Windows icon resource", "image/vnd.microsoft.icon", side(6).zip(side(7))))
}
