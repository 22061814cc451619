// One row of titles that scrolls sideways, by touch, wheel, keyboard or its two buttons.

import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { Row } from "../../shared/api/types";
import { Card } from "./card";
import { Icon } from "./icons";

export function TitleRow({ row, eager }: { row: Row; eager: boolean }) {
  const heading = useId();
  const strip = useRef<HTMLUListElement>(null);
  const [room, setRoom] = useState({ left: false, right: false });

  useEffect(() => {
    const box = strip.current;
    if (!box) return;
    const look = () =>
      setRoom({
        left: box.scrollLeft > 8,
        right: box.scrollLeft + box.clientWidth < box.scrollWidth - 8,
      });
    look();
    box.addEventListener("scroll", look, { passive: true });
    const sizes = new ResizeObserver(look);
    sizes.observe(box);
    return () => {
      box.removeEventListener("scroll", look);
      sizes.disconnect();
    };
  }, []);

  const turn = (pages: number) =>
    strip.current?.scrollBy({ left: pages * strip.current.clientWidth * 0.85, behavior: "smooth" });

  return (
    <section class="row" aria-labelledby={heading} data-kind={row.kind}>
      <h2 id={heading}>{row.heading}</h2>
      <div class="row-frame">
        {room.left && (
          <button
            type="button"
            class="row-turn left"
            tabIndex={-1}
            aria-hidden="true"
            onClick={() => turn(-1)}
          >
            <Icon name="left" />
          </button>
        )}
        <ul ref={strip}>
          {row.titles.map((card, index) => (
            <li key={card.id}>
              <Card card={card} eager={eager && index < 6} />
            </li>
          ))}
        </ul>
        {room.right && (
          <button
            type="button"
            class="row-turn right"
            tabIndex={-1}
            aria-hidden="true"
            onClick={() => turn(1)}
          >
            <Icon name="right" />
          </button>
        )}
      </div>
    </section>
  );
}
