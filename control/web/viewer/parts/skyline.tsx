// The town on the sign-in page: mostly asleep, a few windows lit. The same town for everyone.

const WIDTH = 1440;
const HEIGHT = 360;

/** A small generator with a fixed seed, so that the picture is drawn once and never changes. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

interface Block {
  x: number;
  width: number;
  height: number;
}

function blocks(roll: () => number, tallest: number): Block[] {
  const made: Block[] = [];
  for (let x = -10; x < WIDTH; ) {
    const width = 38 + Math.floor(roll() * 66);
    made.push({ x, width, height: Math.floor(tallest * (0.35 + 0.65 * roll() * roll())) });
    x += width;
  }
  return made;
}

function windowsOf(roll: () => number, { x, width, height }: Block) {
  const lit: { x: number; y: number; glow: number }[] = [];
  for (let column = 9; column < width - 10; column += 13) {
    for (let row = 14; row < height - 10; row += 18) {
      if (roll() < 0.075)
        lit.push({ x: x + column, y: HEIGHT - height + row, glow: 0.35 + roll() * 0.6 });
    }
  }
  return lit;
}

const roll = dice(20_261);
const FAR = blocks(roll, 260);
const NEAR = blocks(roll, 170);
const LIT = [...FAR, ...NEAR].flatMap((block) => windowsOf(roll, block));

function silhouette(shapes: Block[]): string {
  const steps = shapes.map(({ x, width, height }) => `V${HEIGHT - height}H${x + width}`).join("");
  return `M-10 ${HEIGHT}${steps}V${HEIGHT}Z`;
}

export function Skyline() {
  return (
    <svg class="skyline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="xMidYMax slice">
      <title>A town at night</title>
      <path class="far" d={silhouette(FAR)} />
      <path class="near" d={silhouette(NEAR)} />
      {LIT.map((window) => (
        <rect
          key={`${window.x} ${window.y}`}
          class="lit"
          x={window.x}
          y={window.y}
          width={4.5}
          height={7}
          opacity={window.glow}
        />
      ))}
    </svg>
  );
}
