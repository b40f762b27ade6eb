// The color behind the head: dark, light, or one of your own, with words in black or white on it.

/** Whether it names a color that `paint` knows. */
export const isPaper = text => /^(dark|light|[0-9a-f]{6})$/.test(text ?? '');

/** Paints the page. state: carries the class `light`; plate: the element with the colors; paper: 'dark',
 *  'light' or six hexadecimal digits. */
export function paint(state, plate, paper) {
  const own = !['dark', 'light'].includes(paper);
  const light = own ? luminance(paper) > 0.179 : paper === 'light';    // as much contrast to either ink
  state.classList.toggle('light', light);
  for (const [name, value] of [['--page', `#${paper}`], ['--glow', `#${paper}`], ['--quiet', 'var(--ink)']])
    if (own) plate.style.setProperty(name, value); else plate.style.removeProperty(name);
  document.querySelector('meta[name=color-scheme]')?.setAttribute('content', light ? 'light' : 'dark');
}

// Relative luminance as in WCAG 2.
function luminance(digits) {
  const [r, g, b] = [0, 2, 4].map(at => parseInt(digits.slice(at, at + 2), 16) / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
