// Where the head is seen from, in words: a screen reader says them after a turn by keyboard.

const REST = 600;                      // ms without another key

/** "Seen 30 degrees from its left, 10 degrees from above." yaw, pitch: radians, as in orbit.js. */
export function direction({yaw, pitch}) {
  const degrees = angle => Math.round(angle * 180 / Math.PI);
  const turned = degrees(yaw) - 360 * Math.round(degrees(yaw) / 360), raised = degrees(pitch);
  const side = Math.abs(turned) < 3 ? 'from the front' : Math.abs(turned) > 177 ? 'from behind'
    : `${Math.abs(turned)} degrees from its ${turned > 0 ? 'left' : 'right'}`;
  const height = Math.abs(raised) < 3 ? ''
    : `, ${Math.abs(raised)} degrees from ${raised > 0 ? 'above' : 'below'}`;
  return `Seen ${side}${height}.`;
}

/** Puts the words into `place` once the keys rest. */
export function speak(place, orbit, on) {
  let timer = null;
  on(orbit.canvas, 'keydown', event => {
    if (!event.key.startsWith('Arrow') && !['0', 'Home'].includes(event.key)) return;
    clearTimeout(timer);
    timer = setTimeout(() => { place.textContent = direction(orbit.goal); }, REST);
  });
}
