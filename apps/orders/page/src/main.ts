import "./style.css";

import { showBoard } from "./board.js";
import { transport } from "./connection.js";
import { showCounter } from "./counter.js";
import { byId, setText } from "./dom.js";
import { showKitchen } from "./kitchen.js";
import { Shelves } from "./shelves.js";
import { showStock } from "./stock.js";

const shelves = new Shelves();
showConnection();
showStock(shelves);
showCounter(shelves);
showBoard(shelves);
showKitchen();
transport.connect();

function showConnection(): void {
  const box = byId("connection");
  const label = byId("connection-text");
  const now = byId<HTMLButtonElement>("connection-now");
  now.addEventListener("click", () => transport.connect());
  let ticking: ReturnType<typeof setInterval> | undefined;
  const show = () => {
    const { state } = transport;
    clearInterval(ticking);
    box.dataset["state"] = state.name;
    now.hidden = state.name !== "waiting";
    switch (state.name) {
      case "connected":
        setText(label, "Connected");
        box.title = "";
        break;
      case "waiting":
        setText(label, "Not connected");
        box.title = state.error.rawMessage;
        break;
      case "closed":
        setText(label, "Closed");
        break;
      default:
        setText(label, "Connecting …");
    }
  };
  transport.onStateChange(show);
  show();
}
