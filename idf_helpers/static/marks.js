// What a picture or a video from the viewer says about its own origin: the same XMP packet and the
// same line as idf_helpers/provenance/marks.py writes, so that `idf verify` reads them.

const SOFTWARE = 'ImplicitDeepfake (idf_helpers)';
const IPTC = 'http://cv.iptc.org/newscodes/digitalsourcetype/';
const LINE = /^synthetic, made with [^:;]+: ([^;]*); run ([^;]*); digitalSourceType (\w+); consent (\w+)(?:; watermark ([0-9a-f]{8}))?$/;

/** The mark of what is made from a page with the mark `text`. made: what it is. */
export function derived(text, made) {
  const [, of, run, type, consent, hidden] = LINE.exec(text ?? '')
    ?? ['', 'a scene', 'unknown', 'compositeSynthetic', 'none'];
  const what = `${made} of ${of}`.slice(0, 120);
  return {made: what, type, text: `synthetic, made with ${SOFTWARE}: ${what}; run ${run}; `
    + `digitalSourceType ${type}; consent ${consent}${hidden ? `; watermark ${hidden}` : ''}`};
}

/** The XMP packet of a mark, with the IPTC digital source type. */
export function xmp({made, type, text}) {
  return '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    + '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    + 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    + 'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    + 'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    + `Iptc4xmpExt:DigitalSourceType="${IPTC}${type}" xmp:CreatorTool="${SOFTWARE}">`
    + `<dc:title><rdf:Alt><rdf:li xml:lang="x-default">${escaped(made)}</rdf:li></rdf:Alt></dc:title>`
    + '<dc:description><rdf:Alt><rdf:li xml:lang="x-default">'
    + `${escaped(text)}</rdf:li></rdf:Alt></dc:description></rdf:Description></rdf:RDF></x:xmpmeta>`
    + '<?xpacket end="w"?>';
}

/** PNG bytes with the mark in them. */
export function markedPng(png, mark) {
  const header = 33;                                   // signature and IHDR
  return joined([png.subarray(0, header), itxt('XML:com.adobe.xmp', xmp(mark)),
    itxt('idf:provenance', mark.text), png.subarray(header)]);
}

function itxt(keyword, text) {
  const utf8 = new TextEncoder();
  const body = joined([utf8.encode(`iTXt${keyword}`), new Uint8Array(5), utf8.encode(text)]);
  const chunk = joined([new Uint8Array(4), body, new Uint8Array(4)]);
  const numbers = new DataView(chunk.buffer);
  numbers.setUint32(0, body.length - 4);
  numbers.setUint32(chunk.length - 4, crc32(body));
  return chunk;
}

function crc32(bytes) {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = crc >>> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
  }
  return ~crc >>> 0;
}

/** Byte arrays, one after the other. */
export function joined(parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) { out.set(part, at); at += part.length; }
  return out;
}

const ENTITIES = {'&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;'};

/** Text as it stands in XML and HTML. */
export const escaped = text => text.replace(/[&<>"']/g, c => ENTITIES[c]);
