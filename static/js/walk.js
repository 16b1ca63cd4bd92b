// How it works: the slider changes the numbers at once. Without it the form asks for the page anew.

const root = document.querySelector("[data-walk]");
const numbers = JSON.parse(document.getElementById("walk-numbers").textContent);
const slider = root.querySelector("[name=t]");

const show = () => {
  const step = Number(slider.value);
  const temperature = String(numbers.temperatures[step]);
  root.querySelector("[data-temperature]").textContent = temperature;
  slider.setAttribute("aria-valuetext", temperature);
  const percents = [...numbers.chances.map((each) => each[step]), numbers.rests[step]];
  const texts = root.querySelectorAll("[data-percent]");
  const bars = root.querySelectorAll("[data-bar]");
  percents.forEach((percent, place) => {
    texts[place].textContent = percent.toFixed(2);
    bars[place].value = percent;
  });
  document.querySelectorAll("[data-draw]").forEach((draw, place) => {
    draw.textContent = numbers.draws[step][place];
  });
};

slider.addEventListener("input", show);
